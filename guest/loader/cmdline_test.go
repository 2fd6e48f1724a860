package main

import (
	"strings"
	"testing"
)

// As in vcr/formats/eif.py.
const line = "reboot=k panic=-1 pci=off console=ttyS0 quiet random.trust_cpu=on rdinit=/init"

func TestTheLineMayHaveDevicesBehindItAndNothingElse(t *testing.T) {
	for _, added := range []string{
		"", "\n",
		" virtio_mmio.device=512@0xfeb02e00:23", // QEMU's microvm
		" virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6\n",
		" virtio_mmio.device=4K@0xd0000000:5:1",
		strings.Repeat(" virtio_mmio.device=4K@0xd0000000:5", maxDevices),
	} {
		if err := checkLine(line+added, line); err != nil {
			t.Error(err)
		}
	}
	for _, other := range []string{
		" ", "\n\n", " init=/bin/sh", "init=/bin/sh", "  virtio_mmio.device=4K@0xd0000000:5",
		" virtio_mmio.device=4K@0xd0000000:5 ", " virtio_mmio.device=4K@0xd0000000:5\tinit=/x",
		" virtio_mmio.device=4K@0xd0000000:5\ninit=/x", " virtio_mmio.device=4K@0xd0000000:5 init=/x",
		" virtio_mmio.device=", " virtio_mmio.device=4K", " virtio_mmio.device=4K@0xd0000000:5,x",
		" virtio_mmio.device=4G@0xd0000000:5", "\x00", " virtio_mmio.device=4K@0xd0000000:5\x00",
		strings.Repeat(" virtio_mmio.device=4K@0xd0000000:5", maxDevices+1),
	} {
		if checkLine(line+other, line) == nil {
			t.Errorf("%q is taken behind the line", other)
		}
	}
}

// T14: no register says where the kernel ends and the line begins, or where the line ends.
func TestALineOfWhichWordsWereMovedIsRefused(t *testing.T) {
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
