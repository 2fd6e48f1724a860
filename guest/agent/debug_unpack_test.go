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
}

func archiveOf(t *testing.T, entries []entry) *tar.Reader {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: e.kind, Mode: 0o4644, ModTime: time.Unix(1000, 0)}
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

// unpacked returns where the entries were unpacked, beside a directory that is none of theirs.
func unpacked(t *testing.T, entries []entry) (string, error) {
	t.Helper()
	top := t.TempDir()
	copied := filepath.Join(top, "copy")
	for _, path := range []string{copied, filepath.Join(top, "outside")} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
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

func TestNothingIsMadeThroughALink(t *testing.T) {
	for name, entries := range map[string][]entry{
		"a link through a link": {
			{"d", tar.TypeDir, ""}, {"d/l", tar.TypeSymlink, "../../outside"}, {"d/l/x", tar.TypeSymlink, "y"},
		},
		"the top is a link": {{"d", tar.TypeSymlink, "../outside"}, {"d/x", tar.TypeSymlink, "y"}},
		"a file":            {{"d", tar.TypeSymlink, "../outside"}, {"d/x", tar.TypeReg, "y"}},
		"up":                {{"d", tar.TypeDir, ""}, {"d/../../outside/x", tar.TypeReg, "y"}},
		"absolute":          {{"/d", tar.TypeDir, ""}},
		"a device":          {{"d", tar.TypeDir, ""}, {"d/x", tar.TypeChar, ""}},
		"twice":             {{"d", tar.TypeDir, ""}, {"d/x", tar.TypeReg, ""}, {"d/x", tar.TypeReg, ""}},
		"no parent":         {{"d", tar.TypeDir, ""}, {"d/e/x", tar.TypeReg, ""}},
		"below a file":      {{"d", tar.TypeReg, ""}, {"d/x", tar.TypeReg, ""}},
	} {
		copied, err := unpacked(t, entries)
		if err == nil {
			t.Errorf("%s: it was taken", name)
		}
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(copied), "outside", "*"))
		if len(left) > 0 {
			t.Errorf("%s: made %v", name, left)
		}
	}
}

func TestATreeIsAsItWas(t *testing.T) {
	copied, err := unpacked(t, []entry{
		{"d/", tar.TypeDir, ""}, {"d/l", tar.TypeSymlink, "e/x"}, {"d/e/", tar.TypeDir, ""},
		{"d/e/x", tar.TypeReg, "text"},
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
	_, err := unpacked(t, []entry{{"d", tar.TypeReg, ""}})
	if err != nil {
		t.Fatal(err)
	}
	header := &tar.Header{Name: "d", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"GNU.sparse.major": "1"}}
	err = unpackOne(strings.NewReader(""), header, below(-1), []string{"d"})
	if err == nil || !strings.Contains(err.Error(), "sparse") {
		t.Errorf("%v", err)
	}
}
