package main

import (
	"debug/elf"
	"fmt"
	"os"
	"sort"
	"syscall"
)

// symbols are the functions of an ELF file, by address.
type symbols struct {
	loads     []elf.ProgHeader
	functions []elf.Symbol
}

// readSymbols reads a file of the app, which may be anything: it waits for no pipe, and what
// debug/elf panics about is an error.
func readSymbols(path string) (found *symbols, err error) {
	opened, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	if info, err := opened.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	defer func() {
		if reason := recover(); reason != nil {
			found, err = nil, fmt.Errorf("%s: %v", path, reason)
		}
	}()
	file, err := elf.NewFile(opened)
	if err != nil {
		return nil, err
	}
	found = &symbols{}
	for _, program := range file.Progs {
		if program.Type == elf.PT_LOAD {
			found.loads = append(found.loads, program.ProgHeader)
		}
	}
	// A stripped file has none, and a static one no dynamic ones.
	table, _ := file.Symbols()
	dynamic, _ := file.DynamicSymbols()
	for _, symbol := range append(table, dynamic...) {
		if elf.ST_TYPE(symbol.Info) == elf.STT_FUNC && symbol.Section != elf.SHN_UNDEF {
			found.functions = append(found.functions, symbol)
		}
	}
	sort.SliceStable(found.functions, func(i, j int) bool {
		return found.functions[i].Value < found.functions[j].Value
	})
	return found, nil
}

// name returns that of the function at an offset of the file.
func (s *symbols) name(offset uint64) string {
	const unknown = "[unknown]"
	for _, load := range s.loads {
		if offset < load.Off || offset >= load.Off+load.Filesz {
			continue
		}
		address := offset - load.Off + load.Vaddr
		at := sort.Search(len(s.functions), func(i int) bool { return s.functions[i].Value > address })
		if at == 0 {
			return unknown
		}
		symbol := s.functions[at-1]
		if symbol.Size > 0 && address >= symbol.Value+symbol.Size {
			return unknown
		}
		return clean(symbol.Name)
	}
	return unknown
}
