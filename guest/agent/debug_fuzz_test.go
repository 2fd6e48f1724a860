//go:build debug

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func archiveBytes(entries ...tar.Header) []byte {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, header := range entries {
		_ = writer.WriteHeader(&header)
		_, _ = writer.Write(make([]byte, header.Size))
	}
	_ = writer.Close()
	return out.Bytes()
}

// FuzzUnpack: nothing of an archive comes to lie beside the copy, or leads out of it.
func FuzzUnpack(f *testing.F) {
	f.Add(archiveBytes(tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "d/f", Typeflag: tar.TypeReg, Size: 3, Mode: 0o644}, tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "f"}))
	f.Add(archiveBytes(tar.Header{Name: "d", Typeflag: tar.TypeSymlink, Linkname: "../outside"},
		tar.Header{Name: "d/x", Typeflag: tar.TypeReg, Size: 1}))
	f.Fuzz(func(t *testing.T, data []byte) {
		top := t.TempDir()
		outside, copied := filepath.Join(top, "outside"), filepath.Join(top, "copy")
		for _, path := range []string{outside, copied} {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		archive := tar.NewReader(bytes.NewReader(data))
		header, err := archive.Next()
		if err != nil {
			return
		}
		into, err := openBelow(copied)
		if err != nil {
			t.Fatal(err)
		}
		defer into.close()
		_ = unpackAll(archive, header, into)
		found, err := os.ReadDir(top)
		if err != nil || len(found) != 2 {
			t.Errorf("%v, %v", found, err)
		}
		if found, err = os.ReadDir(outside); err != nil || len(found) != 0 {
			t.Errorf("%v, %v", found, err)
		}
		_ = filepath.WalkDir(copied, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				t.Error(err)
			}
			return nil
		})
	})
}

// FuzzMessage: a line of the host is a message or nothing; its input is base64 or nothing.
func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"do":"run","id":"x","argv":["a"],"terminal":"xterm","rows":24}`), []byte("aGVsbG8="))
	f.Fuzz(func(t *testing.T, line, text []byte) {
		m := message{}
		_ = json.Unmarshal(line, &m)
		took := 0
		current := &task{message: m, input: newInput(func(n int) { took += n })}
		current.add(m.ID, append([]byte{}, text...))
		current.input.close()
		read, _ := current.input.Read(make([]byte, 1<<16))
		if read != took || read > len(text) {
			t.Errorf("%d bytes of %d, %d told", read, len(text), took)
		}
	})
}
