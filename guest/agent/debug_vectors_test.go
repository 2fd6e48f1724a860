//go:build debug

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// copies is tests/vectors/copies.json.
type copies struct {
	Names []struct {
		Path  string
		Parts []string // null: it leads elsewhere
	}
	Below []struct {
		Why     string
		There   map[string]string // as `tree` returns it
		Names   []string
		Allowed bool
	}
	Archives []struct {
		Why     string
		Entries []struct {
			Name, Kind, Text string
			Mode             int64
		}
		Guest, Host map[string]string // null: it is refused
	}
}

var kinds = map[string]byte{
	"directory": tar.TypeDir, "file": tar.TypeReg, "link": tar.TypeSymlink,
	"hard link": tar.TypeLink, "fifo": tar.TypeFifo, "device": tar.TypeChar,
}

func TestNamesInAPathAreThoseOfTheVectors(t *testing.T) {
	var all copies
	vectors(t, "copies", &all)
	for _, c := range all.Names {
		path := strings.ReplaceAll(c.Path, "{long}", strings.Repeat("ü/", maxPath/3))
		got, err := namesIn(path)
		want := slices.Clone(c.Parts)
		if path != c.Path && want != nil {
			want = slices.Repeat([]string{"ü"}, maxPath/3)
		}
		if !slices.Equal(got, want) || (err != nil) != (want == nil) {
			t.Errorf("%.40q: %.40q, %v", c.Path, got, err)
		}
	}
}

// outsideAndIn returns a directory, and beside it one that nothing may come to.
func outsideAndIn(t *testing.T) (copied, outside string) {
	t.Helper()
	top := t.TempDir()
	copied, outside = filepath.Join(top, "copy"), filepath.Join(top, "outside")
	for _, path := range []string{copied, outside} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return copied, outside
}

func TestWhatIsMadeBelowADirectoryIsInIt(t *testing.T) {
	var all copies
	vectors(t, "copies", &all)
	calls := map[string]func(below, []string) error{
		"directory": func(b below, names []string) error { return b.makeDirectory(names, 0o755) },
		"link":      func(b below, names []string) error { return b.link(names, "x") },
		"file": func(b below, names []string) error {
			file, err := b.create(names)
			if err == nil {
				err = file.Close()
			}
			return err
		},
	}
	for _, c := range all.Below {
		for kind, call := range calls {
			copied, outside := outsideAndIn(t)
			for _, path := range slices.Sorted(maps.Keys(c.There)) {
				lay(t, filepath.Join(copied, path), c.There[path])
			}
			into, err := openBelow(copied)
			if err != nil {
				t.Fatal(err)
			}
			err = call(into, c.Names)
			into.close()
			_, missing := os.Lstat(filepath.Join(append([]string{copied}, c.Names...)...))
			if (err == nil) != c.Allowed || c.Allowed && missing != nil || len(tree(t, outside)) > 0 {
				t.Errorf("%s, a %s: %v, %v", c.Why, kind, err, tree(t, outside))
			}
		}
	}
}

// lay makes what `tree` tells of at a path.
func lay(t *testing.T, path, told string) {
	kind, text, _ := strings.Cut(told, " ")
	err := error(nil)
	switch kind {
	case "directory":
		err = os.Mkdir(path, 0o755)
	case "link":
		err = os.Symlink(text, path)
	default:
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// tree tells what is in a directory.
func tree(t *testing.T, directory string) map[string]string {
	found := map[string]string{}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == directory {
			return err
		}
		name, _ := filepath.Rel(directory, path)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			found[name] = fmt.Sprintf("directory %o", info.Mode().Perm())
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			found[name] = fmt.Sprintf("file %o %s", uint32(info.Mode().Perm()), text)
			return err
		default:
			goal, err := os.Readlink(path)
			found[name] = "link " + goal
			return err
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

func TestArchivesAreUnpackedAsTheVectorsSay(t *testing.T) {
	var all copies
	vectors(t, "copies", &all)
	for _, c := range all.Archives {
		var entries []entry
		for _, e := range c.Entries {
			entries = append(entries, entry{e.Name, kinds[e.Kind], e.Text, e.Mode})
		}
		copied, err := unpacked(t, entries)
		if (err != nil) != (c.Guest == nil) || err == nil && !maps.Equal(tree(t, copied), c.Guest) {
			t.Errorf("%s: %v, %v", c.Why, tree(t, copied), err)
		}
		if found := tree(t, filepath.Join(filepath.Dir(copied), "outside")); len(found) > 0 {
			t.Errorf("%s: %v lies outside", c.Why, found)
		}
	}
}

// dialogue is tests/vectors/debug.json; what `request` and `fields` mean is for Python.
type dialogue struct {
	ID    string
	Tasks []struct {
		Request       any
		Rows, Columns int
		Line          string
		Means         message
	}
	Notes []struct {
		Do     string
		Fields any
		Line   string
		Means  message
	}
	Inputs  []struct{ Data, Line string }
	Answers []struct {
		Kind, Data string
		Code       int
		Line       string
	}
	Lines struct {
		PieceOfOutput int `json:"piece_of_output"`
		Most          int
	}
}

func TestTheHostsLinesMeanWhatTheVectorsSay(t *testing.T) {
	var all dialogue
	vectors(t, "debug", &all)
	means := map[string]message{}
	for _, c := range all.Tasks {
		means[c.Line] = c.Means
	}
	for _, c := range all.Notes {
		means[c.Line] = c.Means
	}
	for line, want := range means {
		got := message{}
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields() // the host says nothing that the agent does not heed
		if err := decoder.Decode(&got); err != nil || !sameMessage(got, want) {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
	for _, c := range all.Inputs {
		words := strings.Fields(c.Line)
		data, err := hex.DecodeString(c.Data)
		if err != nil || len(words) != 3 || words[0] != all.ID || words[1] != "in" {
			t.Fatalf("%s: %v", c.Line, err)
		}
		current := &task{message: message{ID: all.ID}, input: newInput(func(int) {})}
		current.add(words[0], []byte(words[2]))
		current.input.close()
		got := make([]byte, len(data)+1)
		if n, _ := current.input.Read(got); !bytes.Equal(got[:n], data) {
			t.Errorf("%s: %q", c.Line, got[:n])
		}
	}
}

// sameMessage compares without telling no words from a list of none.
func sameMessage(a, b message) bool {
	same := slices.Equal(a.Argv, b.Argv)
	a.Argv, b.Argv = nil, nil
	return same && reflect.DeepEqual(a, b)
}

func TestTheAgentsLinesAreThoseOfTheVectors(t *testing.T) {
	var all dialogue
	vectors(t, "debug", &all)
	var port bytes.Buffer
	current := &task{message: message{ID: all.ID}, lines: &answerLines{port: &port}, ctx: context.Background()}
	for _, c := range all.Answers {
		port.Reset()
		data, _ := hex.DecodeString(c.Data)
		if c.Kind == "out" || c.Kind == "err" {
			_, _ = current.stream(c.Kind).Write(data)
		} else {
			current.lines.write(all.ID, c.Kind, fmt.Sprint(c.Code))
		}
		if port.String() != c.Line {
			t.Errorf("%q, not %q", port.String(), c.Line)
		}
	}
	port.Reset()
	current.ID = "0123456789abcdef" // as long as they are
	_, _ = current.stream("out").Write(make([]byte, all.Lines.PieceOfOutput+1))
	lines := strings.SplitAfter(port.String(), "\n")
	if piece != all.Lines.PieceOfOutput || len(lines) != 3 || len(lines[0]) > all.Lines.Most {
		t.Errorf("%d bytes in a line of %d, %d lines", piece, len(lines[0]), len(lines)-1)
	}
}
