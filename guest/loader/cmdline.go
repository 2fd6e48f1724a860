package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

const (
	lineFile   = "/proc/cmdline"
	maxDevices = 16 // that a hypervisor announces; with them a line is far from where Linux cuts it
)

// device is all that a hypervisor may add to the line: where a virtio device is, as
// docs.kernel.org/admin-guide/kernel-parameters.html has virtio_mmio.device.
var device = regexp.MustCompile(`^virtio_mmio\.device=[0-9]{1,10}K?@0x[0-9a-f]{1,16}:[0-9]{1,4}(:[0-9]{1,4})?$`)

// checkLine compares the kernel's command line, LINE, with the one of the image.
//
// No register says where the kernel ends and its line begins, nor where that ends: an image
// with words of the line moved to the kernel's end has the same PCR0, PCR1 and PCR2. WANTED is
// in a ramdisk, behind both, so this is where they are told apart.
func checkLine(line, wanted string) error {
	line = strings.TrimSuffix(line, "\n")
	added, found := strings.CutPrefix(line, wanted)
	if found && wanted != "" && areDevices(added) {
		return nil
	}
	return fmt.Errorf("the command line is not the one of the image: %q, not %q", line, wanted)
}

// areDevices tells whether ADDED is nothing, or devices, each with one space ahead.
func areDevices(added string) bool {
	if added == "" {
		return true
	}
	words := strings.Split(added, " ")
	if words[0] != "" || len(words) > maxDevices+1 {
		return false
	}
	for _, word := range words[1:] {
		if !device.MatchString(word) {
			return false
		}
	}
	return true
}

func checkOwnLine(wanted string) error {
	line, err := os.ReadFile(lineFile)
	if err != nil {
		return err
	}
	return checkLine(string(line), wanted)
}
