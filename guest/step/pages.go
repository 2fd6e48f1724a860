package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"unsafe"
)

// Files of a layer that are large are not sent. They lie in this machine's memory, and that is
// a file of the host: it is told where. vcr/sandbox/qemu/layer_port.py reads it.

const (
	// From here on: for less, to map a file and to ask for its pages is more work than to copy it.
	largeSize = 64 << 10
	pageSize  = 4096
	// Of a page in /proc/self/pagemap: https://docs.kernel.org/admin-guide/mm/pagemap.html
	pagePresent  = 1 << 63
	frameMask    = 1<<55 - 1
	pagemapEntry = 8
	// lseek(2)
	seekData = 3
	seekHole = 4
)

// pages says where large files are. It keeps them mapped and locked, so that they stay there.
type pages struct {
	files   []paged
	windows [][]byte
	known   [][]extent // of each window
	pagemap *os.File
}

// paged is one file: the number of its entry in the archive, its size, and what of it is where.
type paged struct {
	Entry  int      `json:"entry"`
	Size   int64    `json:"size"`
	Pieces []extent `json:"pieces"`
}

// extent is an offset in a file, a length, and an address in memory, all in bytes. What no
// extent holds is zeros.
type extent [3]int64

// add notes where a file is, which is entry in the archive.
func (p *pages) add(entry int, file *os.File, size int64) error {
	if p.pagemap == nil {
		if err := p.begin(); err != nil {
			return err
		}
	}
	noted := paged{Entry: entry, Size: size, Pieces: []extent{}}
	for at := int64(0); at < size; {
		begin, err := file.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) {
			break // a hole up to the end
		}
		if err != nil {
			return err
		}
		end, err := file.Seek(begin, seekHole)
		if err != nil {
			return err
		}
		begin, end = max(at, begin/pageSize*pageSize), min(end, size)
		for begin < end {
			length := min(windowSize, end-begin)
			pieces, err := p.window(file, begin, length)
			if err != nil {
				return err
			}
			noted.Pieces = append(noted.Pieces, pieces...)
			begin += length
		}
		at = (end + pageSize - 1) / pageSize * pageSize
	}
	p.files = append(p.files, noted)
	return nil
}

func (p *pages) begin() error {
	// What is locked is not moved to make room for something large, either. A kernel that
	// never does that has no such setting.
	_ = os.WriteFile("/proc/sys/vm/compact_unevictable_allowed", []byte("0"), 0)
	pagemap, err := os.Open("/proc/self/pagemap")
	p.pagemap = pagemap
	return err
}

// window maps a part of a file for good, and returns where it is.
func (p *pages) window(file *os.File, begin, length int64) ([]extent, error) {
	const flags = syscall.MAP_SHARED | syscall.MAP_POPULATE | syscall.MAP_LOCKED
	data, err := syscall.Mmap(int(file.Fd()), begin, int(length), syscall.PROT_READ, flags)
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	pieces, err := p.locate(data, begin)
	p.windows, p.known = append(p.windows, data), append(p.known, pieces)
	return pieces, err
}

// locate returns where in memory mapped bytes are, which are at begin in their file.
func (p *pages) locate(data []byte, begin int64) ([]extent, error) {
	entries := make([]byte, (len(data)+pageSize-1)/pageSize*pagemapEntry)
	address := int64(uintptr(unsafe.Pointer(&data[0])))
	if _, err := p.pagemap.ReadAt(entries, address/pageSize*pagemapEntry); err != nil {
		return nil, err
	}
	return piecesOf(entries, begin, int64(len(data)))
}

// piecesOf joins what entries of a pagemap say of length bytes at begin of a file.
func piecesOf(entries []byte, begin, length int64) ([]extent, error) {
	var pieces []extent
	for at := int64(0); at < length; at += pageSize {
		entry := binary.NativeEndian.Uint64(entries[at/pageSize*pagemapEntry:])
		if entry&pagePresent == 0 || entry&frameMask == 0 {
			return nil, errors.New("a page is not in memory")
		}
		address := int64(entry&frameMask) * pageSize
		size := min(pageSize, length-at)
		if n := len(pieces) - 1; n >= 0 && pieces[n][2]+pieces[n][1] == address {
			pieces[n][1] += size
		} else {
			pieces = append(pieces, extent{begin + at, size, address})
		}
	}
	return pieces, nil
}

// write writes what was noted, and how long that is, if every page is still where it was.
func (p *pages) write(out io.Writer) error {
	files := p.files
	if files == nil {
		files = []paged{}
	}
	table, err := json.Marshal(files)
	if err != nil {
		return err
	}
	for i, data := range p.windows {
		pieces, err := p.locate(data, p.known[i][0][0])
		if err != nil {
			return err
		}
		if !slices.Equal(pieces, p.known[i]) {
			return errors.New("the kernel has moved a page that was locked")
		}
	}
	if _, err := out.Write(table); err != nil {
		return err
	}
	return binary.Write(out, binary.BigEndian, uint64(len(table)))
}
