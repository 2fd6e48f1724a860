package main

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestLinksLeadWhereTheVectorsSay(t *testing.T) {
	var all struct {
		Cases []struct {
			Why, Path string
			There     map[string]string // directory, file, or link and where it leads
			Resolved  *string           // null: a loop
		}
	}
	vectors(t, "links", &all)
	for _, c := range all.Cases {
		top := t.TempDir()
		for _, path := range slices.Sorted(maps.Keys(c.There)) {
			goal, isLink := strings.CutPrefix(c.There[path], "link ")
			at, err := filepath.Join(top, path), error(nil)
			switch {
			case isLink:
				err = os.Symlink(goal, at)
			case c.There[path] == "directory":
				err = os.Mkdir(at, 0o755)
			default:
				err = os.WriteFile(at, nil, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := within(top, c.Path)
		if (err != nil) != (c.Resolved == nil) || err == nil && strings.TrimPrefix(got, top) != absolute(*c.Resolved) {
			t.Errorf("%s: %s, %v", c.Why, strings.TrimPrefix(got, top), err)
		}
	}
}

// absolute returns a path below the top as `within` has it.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	return "/" + path
}

func TestRequestsAreDescribedAsTheVectorsSay(t *testing.T) {
	var all struct {
		Cases []struct {
			Why, Scheme, Raw, Body string
			Line                   Request
		}
	}
	vectors(t, "requests", &all)
	for _, c := range all.Cases {
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(c.Raw)))
		if err != nil {
			t.Fatalf("%s: %v", c.Why, err)
		}
		body, err := io.ReadAll(request.Body)
		got := describe(c.Scheme, request, body)
		if err != nil || string(body) != c.Body || !reflect.DeepEqual(*got, c.Line) {
			line, _ := json.Marshal(got)
			t.Errorf("%s: %s, %v", c.Why, line, err)
		}
	}
}
