package main

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type programFile struct {
	Mode, Text, Hex, Link string
}

// layFile makes a file of a root.
func layFile(t *testing.T, path string, file programFile) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if file.Link != "" {
		if err := os.Symlink(file.Link, path); err != nil {
			t.Fatal(err)
		}
		return
	}
	content, err := hex.DecodeString(file.Hex)
	if err != nil {
		t.Fatal(err)
	}
	mode, err := strconv.ParseUint(file.Mode, 8, 32)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(content, file.Text...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, os.FileMode(mode)); err != nil {
		t.Fatal(err)
	}
}

func TestWhyAProgramCannotBeStarted(t *testing.T) {
	var cases []struct {
		Why                string
		Files              map[string]programFile
		Argv, Env, Covered []string
		Cwd, Here          string
		User, Code         int
		Groups             []int
		Expected           *Program
	}
	vectors(t, "programs", &cases)
	for _, c := range cases {
		t.Run(c.Why, func(t *testing.T) {
			root := t.TempDir()
			names := []string{}
			for name := range c.Files {
				names = append(names, name)
			}
			slices.Sort(names) // a link to a directory comes before what is below it, elsewhere
			for _, name := range names {
				layFile(t, filepath.Join(root, name), c.Files[name])
			}
			command := &Command{c.Argv, c.Env, c.Cwd, c.User, c.Groups, c.Covered, c.Code}
			got := whyNot(root, command, c.Here)
			if (got == nil) != (c.Expected == nil) || got != nil && *got != *c.Expected {
				t.Fatalf("%+v instead of %+v", got, c.Expected)
			}
		})
	}
}

func TestListeners(t *testing.T) {
	var cases []struct {
		Why, Table string
		Listens    [][3]any
	}
	vectors(t, "listeners", &cases)
	for _, c := range cases {
		got := parseListeners(c.Table)
		if len(got) != len(c.Listens) {
			t.Fatalf("%s: %v", c.Why, got)
		}
		for at, each := range got {
			port := strconv.Itoa(each.port)
			if row := c.Listens[at]; row[0] != each.address || jsonText(row[1]) != port || row[2] != each.isLoopback() {
				t.Errorf("%s: %v instead of %v", c.Why, each, row)
			}
		}
	}
}

func jsonText(value any) string {
	number, _ := value.(interface{ String() string })
	return number.String()
}

func TestAppsThatHaveSettled(t *testing.T) {
	// name, state, flags, and when it began, in hundredths of a second
	status := func(name, state, flags, began string) string {
		fields := make([]string, 50)
		for at := range fields {
			fields[at] = "0"
		}
		fields[0], fields[6], fields[19] = state, flags, began
		return "7 (" + name + ") " + strings.Join(fields, " ") + "\n"
	}
	for text, expected := range map[string]bool{
		status("app", "S", "4194560", "100"):       true,
		status("a) R 1 64", "S", "4194560", "100"): true,
		status("app", "S", "4194560", "950"):       false, // for half a second
		status("crun", "S", "4194624", "100"):      false, // PF_FORKNOEXEC
		status("app", "Z", "4194560", "100"):       false,
		"":                                         false,
		"7 (app) S":                                false,
	} {
		if settled(text, "10.00 9.00\n") != expected {
			t.Errorf("%q: not %v", text, expected)
		}
	}
}

func TestKilledProcessesInTheLogOfTheKernel(t *testing.T) {
	for record, expected := range map[string]string{
		"3,100,200,-;Out of memory: Killed process 77 (python3) total-vm:1kB, anon-rss:2kB": "python3",
		"3,1,2,-;Memory cgroup out of memory: Killed process 7 (a (b) c) total-vm:1kB":      "a (b) c",
		"3,1,2,-;Out of memory: Killed process 7 () total-vm:1kB":                           "",
	} {
		if name, ok := killedIn(record); !ok || name != expected {
			t.Errorf("%q: %q", record, name)
		}
	}
	for _, record := range []string{"", "6,1,2,-;eth0: up", "3,1,2,-;x: Killed process 7", ": Killed process ) total-vm: ("} {
		if name, ok := killedIn(record); ok {
			t.Errorf("%q: %q", record, name)
		}
	}
}
