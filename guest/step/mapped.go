package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// A file of the host that lies in the machine's memory, read-only, without a copy of it: behind a
// PCI device, or beyond what the kernel takes for memory. vcr/sandbox/mapped.py puts it there.
type mapped []piece

// piece is a part of a file, in the order of the file.
type piece struct {
	Device  string `json:"device"`  // PCI address, or "" for a place of its own
	Address int64  `json:"address"` // where, without a device
	Size    int64  `json:"size"`    // bytes
}

const (
	// How much of a file is in this program's address space at once: the kernel fills in the
	// tables of all of it when it is mapped.
	windowSize = 16 << 20
	// The memory of an ivshmem-plain is its third region:
	// https://www.qemu.org/docs/master/specs/ivshmem-spec.html
	region = "resource2"
)

func (m mapped) size() int64 {
	total := int64(0)
	for _, p := range m {
		total += p.Size
	}
	return total
}

// windows gives parts of a mapped file, which it maps when they are first asked for.
type windows struct {
	mapped mapped
	files  []*os.File // one a piece
	open   map[int64][]byte
}

func (m mapped) windows() (*windows, error) {
	w := &windows{mapped: m, open: map[int64][]byte{}}
	for _, p := range m {
		name := "/dev/mem"
		if p.Device != "" {
			device := filepath.Join("/sys/bus/pci/devices", p.Device)
			if err := os.WriteFile(filepath.Join(device, "enable"), []byte("1"), 0); err != nil {
				return nil, err
			}
			// Where memory of a device may be read in one way only, this one has no rules of
			// alignment. https://docs.kernel.org/PCI/sysfs-pci.html
			name = filepath.Join(device, region+"_wc")
			if _, err := os.Stat(name); err != nil {
				name = filepath.Join(device, region)
			}
		}
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		w.files = append(w.files, file)
	}
	return w, nil
}

// at returns bytes of the file from an offset on: at least one, at most as many as asked for.
func (w *windows) at(offset, size int64) ([]byte, error) {
	begin := int64(0) // of the piece in the file
	for i, p := range w.mapped {
		if offset >= begin+p.Size {
			begin += p.Size
			continue
		}
		inside := offset - begin
		first := inside / windowSize * windowSize
		window, ok := w.open[begin+first]
		if !ok {
			var err error
			length := int(min(windowSize, p.Size-first))
			window, err = syscall.Mmap(int(w.files[i].Fd()), p.Address+first, length, syscall.PROT_READ, syscall.MAP_SHARED)
			if err != nil {
				return nil, fmt.Errorf("mapping %s: %w", w.files[i].Name(), err)
			}
			w.open[begin+first] = window
		}
		rest := window[inside-first:]
		return rest[:min(size, int64(len(rest)))], nil
	}
	return nil, fmt.Errorf("%d is beyond the end", offset)
}
