//go:build debug

package main

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
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
