//go:build debug

package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type entry struct {
	name string
	kind byte
	text string // where a link leads, or what a file holds
	mode int64
}

func archiveOf(t *testing.T, entries []entry) *tar.Reader {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: e.kind, Mode: e.mode, ModTime: time.Unix(1000, 0)}
		if e.kind == tar.TypeReg {
			header.Size = int64(len(e.text))
		} else {
			header.Linkname = e.text
		}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if e.kind == tar.TypeReg {
			_, _ = io.WriteString(writer, e.text)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return tar.NewReader(&out)
}

func unpacked(t *testing.T, entries []entry) (string, error) {
	t.Helper()
	copied, _ := outsideAndIn(t)
	into, err := openBelow(copied)
	if err != nil {
		t.Fatal(err)
	}
	defer into.close()
	archive := archiveOf(t, entries)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	return copied, unpackAll(archive, header, into)
}

func TestATreeIsAsItWas(t *testing.T) {
	copied, err := unpacked(t, []entry{
		{"d/", tar.TypeDir, "", 0o755}, {"d/l", tar.TypeSymlink, "e/x", 0o777},
		{"d/e/", tar.TypeDir, "", 0o755}, {"d/e/x", tar.TypeReg, "text", 0o4644},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(copied, "d", "l"))
	if err != nil || string(text) != "text" {
		t.Errorf("%q, %v", text, err)
	}
	info, err := os.Stat(filepath.Join(copied, "d", "e", "x"))
	if err != nil || info.Mode() != 0o644 || info.ModTime().Unix() != 1000 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestASparseFileIsRefused(t *testing.T) {
	_, err := unpacked(t, []entry{{"d", tar.TypeReg, "", 0o644}})
	if err != nil {
		t.Fatal(err)
	}
	header := &tar.Header{Name: "d", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"GNU.sparse.major": "1"}}
	err = unpackOne(strings.NewReader(""), header, below(-1), []string{"d"})
	if err == nil || !strings.Contains(err.Error(), "sparse") {
		t.Errorf("%v", err)
	}
}
