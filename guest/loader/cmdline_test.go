package main

import "testing"

// kernelLine is tests/vectors/kernel_line.json: the image's, and what may be behind it or not.
type kernelLine struct {
	Line            string
	Behind, Refused []string
}

func TestTheLineMayHaveDevicesBehindItAndNothingElse(t *testing.T) {
	var all kernelLine
	vectors(t, "kernel_line", &all)
	for _, added := range all.Behind {
		if err := checkLine(all.Line+added, all.Line); err != nil {
			t.Error(err)
		}
	}
	for _, other := range all.Refused {
		if checkLine(all.Line+other, all.Line) == nil {
			t.Errorf("%q is taken behind the line", other)
		}
	}
}

// T14: no register says where the kernel ends and the line begins, or where the line ends.
func TestALineOfWhichWordsWereMovedIsRefused(t *testing.T) {
	var all kernelLine
	vectors(t, "kernel_line", &all)
	line := all.Line
	for at := 1; at <= len(line); at++ {
		if checkLine(line[at:], line) == nil {
			t.Errorf("%q is taken, the rest being the kernel's", line[at:])
		}
		if at < len(line) && checkLine(line[:at], line) == nil {
			t.Errorf("%q is taken, the rest being the ramdisk's", line[:at])
		}
	}
	for _, moved := range []string{"\x00" + line, "x " + line, " " + line, line + "070701", line + line} {
		if checkLine(moved, line) == nil {
			t.Errorf("%q is taken", moved)
		}
	}
	if checkLine("", "") == nil {
		t.Error("an image that does not say its line is taken")
	}
}
