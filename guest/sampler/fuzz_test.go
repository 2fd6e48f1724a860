package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

func record(words ...uint64) []byte {
	var out []byte
	for _, word := range words {
		out = binary.NativeEndian.AppendUint64(out, word)
	}
	return out
}

// FuzzRecord: a record that is not whole, or of no kind that is known, counts for nothing.
func FuzzRecord(f *testing.F) {
	f.Add(uint32(recordSample), uint16(0), record(1<<32|4000000, 3, markUser, 0x1000, 0x2000))
	f.Add(uint32(recordSample), uint16(0), record(1, 1<<62))
	f.Add(uint32(recordComm), uint16(miscExec), append(record(4000000<<32|4000000), "name\x00"...))
	f.Add(uint32(recordFork), uint16(0), record(1<<32|4000000, 4000000))
	f.Add(uint32(recordMmap2), uint16(0), append(record(4000000, 0x1000, 0x2000, 0, 0, 0, 0, 4), "/x\x00"...))
	f.Add(uint32(recordLost), uint16(0), record(1, 5))
	f.Fuzz(func(t *testing.T, kind uint32, misc uint16, body []byte) {
		counts := newCounts(newProcesses(), false)
		counts.take(kind, misc, body)
		if report := counts.report(1); report.Samples > 1 {
			t.Errorf("%d samples of one record", report.Samples)
		}
	})
}

// FuzzSymbols: a program of the app may be anything at all.
func FuzzSymbols(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"), uint64(0x1000))
	if own, err := os.ReadFile("/proc/self/exe"); err == nil {
		f.Add(own[:4096], uint64(0x1000))
	}
	f.Fuzz(func(t *testing.T, content []byte, offset uint64) {
		path := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := readSymbols(path); err == nil {
			_ = found.name(offset)
		}
	})
}
