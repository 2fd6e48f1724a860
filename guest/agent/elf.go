package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// What an ELF file says of itself, as vcr/diagnosis/elf.py has it. Files are a stranger's: every
// size is bounded, and what is not as it should be is not there.

const (
	headBytes   = 4096
	mostHeaders = 64 // that are read
	mostOffset  = 1 << 40
	mostDynamic = 64 << 10 // bytes of the dynamic section that are read
	mostNames   = 256      // of libraries, of one file
	nameBytes   = 1024     // of a library's name, or of where it is looked for

	loadSegment = 1 // PT_LOAD
	dynamic     = 2 // PT_DYNAMIC
	interpreter = 3 // PT_INTERP
	endEntry    = 0 // DT_NULL
	needed      = 1 // DT_NEEDED
	stringTable = 5 // DT_STRTAB
	rpath       = 15
	runpath     = 29
)

// needs is what a program or a library is linked with.
type needs struct {
	libraries, paths []string // paths: where to look for them
}

type programHeader struct {
	kind                  uint32
	offset, address, size uint64
}

// architecture is MACHINE:CLASS of an ELF file that begins so, "" for no ELF file.
func architecture(head []byte) string {
	if len(head) < 20 || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return ""
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	return fmt.Sprintf("%d:%d", order.Uint16(head[18:]), head[4])
}

// loaderOf is what an ELF file of 64 bits names as its loader, "" for none.
func loaderOf(file io.ReaderAt) string {
	for _, header := range headersOf(file) {
		if header.kind == interpreter {
			if header.offset > mostOffset || header.size > headBytes {
				return ""
			}
			return textAt(file, header.offset, header.size)
		}
	}
	return ""
}

// needsOf is what an ELF file of 64 bits is linked with.
func needsOf(file io.ReaderAt) needs {
	headers := headersOf(file)
	var found needs
	for _, header := range headers {
		if header.kind != dynamic {
			continue
		}
		if header.offset > mostOffset {
			return found
		}
		rows := entriesOf(readAt(file, header.offset, min(header.size, mostDynamic)))
		strings, isThere := stringsAt(headers, rows)
		if !isThere {
			return found
		}
		found.libraries = namesOf(file, strings, rows, needed, needed)
		found.paths = namesOf(file, strings, rows, rpath, runpath)
		return found
	}
	return found
}

func headersOf(file io.ReaderAt) []programHeader {
	head := readAt(file, 0, 64)
	if len(head) < 64 || !bytes.HasPrefix(head, []byte("\x7fELF\x02\x01")) {
		return nil
	}
	table := binary.LittleEndian.Uint64(head[32:])
	size := uint64(binary.LittleEndian.Uint16(head[54:]))
	count := uint64(binary.LittleEndian.Uint16(head[56:]))
	if size < 56 || table > mostOffset {
		return nil
	}
	var found []programHeader
	for number := range min(count, mostHeaders) {
		row := readAt(file, table+number*size, 56)
		if len(row) < 56 {
			continue
		}
		found = append(found, programHeader{
			binary.LittleEndian.Uint32(row), binary.LittleEndian.Uint64(row[8:]),
			binary.LittleEndian.Uint64(row[16:]), binary.LittleEndian.Uint64(row[32:]),
		})
	}
	return found
}

func entriesOf(data []byte) [][2]uint64 {
	var rows [][2]uint64
	for ; len(data) >= 16; data = data[16:] {
		tag := binary.LittleEndian.Uint64(data)
		if tag == endEntry {
			break
		}
		rows = append(rows, [2]uint64{tag, binary.LittleEndian.Uint64(data[8:])})
	}
	return rows
}

// stringsAt is where in the file the names are.
func stringsAt(headers []programHeader, rows [][2]uint64) (uint64, bool) {
	for _, row := range rows {
		if row[0] != stringTable {
			continue
		}
		for _, each := range headers {
			if each.kind == loadSegment && each.address <= row[1] && row[1]-each.address < each.size {
				offset := each.offset + row[1] - each.address
				return offset, each.offset <= mostOffset && offset <= mostOffset
			}
		}
		return 0, false
	}
	return 0, false
}

func namesOf(file io.ReaderAt, strings uint64, rows [][2]uint64, tags ...uint64) []string {
	var found []string
	count := 0
	for _, row := range rows {
		if row[0] != tags[0] && row[0] != tags[1] || row[1] >= mostOffset || count == mostNames {
			continue
		}
		count++
		if name := textAt(file, strings+row[1], nameBytes); name != "" {
			found = append(found, name)
		}
	}
	return found
}

func textAt(file io.ReaderAt, offset, length uint64) string {
	name, _, _ := bytes.Cut(readAt(file, offset, length), []byte{0})
	return string(name)
}

func readAt(file io.ReaderAt, offset, length uint64) []byte {
	data := make([]byte, length)
	n, _ := file.ReadAt(data, int64(offset))
	return data[:n]
}
