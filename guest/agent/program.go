package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// Why the kernel, or its loader, cannot start a program of the container's root, as vcr/diagnosis/program.py has
// it; tests/vectors/programs.json tries both.

const (
	openat2Call    = 437 // on every architecture
	resolveInRoot  = 0x10
	pathOnly       = 0x200000 // O_PATH
	noLibrary      = 127      // exit code of the loaders of glibc and musl, where they do not find a library
	mostScripts    = 5
	maxName        = 300 // characters
	unknownProblem = "unknown"
)

// Program is why a program cannot be started.
type Program struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
	Name    string `json:"name"`
	Here    string `json:"here"`
}

// Command is what a container starts, and as whom.
type Command struct {
	Argv    []string
	Env     []string
	Cwd     string
	User    int
	Groups  []int
	Covered []string // directories in which the root's files are not to be seen
	Code    int      // that it has ended with, 0 for any
}

// related are what a 64-bit kernel may run, too: those of 32 bits.
var related = map[string]string{"62:2": "3:1", "183:2": "40:1"}

func (c *Command) places() []string {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return nil
	}
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		return []string{join(c.Cwd, name)}
	}
	var found []string
	for _, entry := range c.Env {
		path, isPath := strings.CutPrefix(entry, "PATH=")
		if !isPath {
			continue
		}
		for _, directory := range strings.Split(path, ":") {
			if path != "" {
				found = append(found, join(c.Cwd, orHere(directory)+"/"+name))
			}
		}
		break
	}
	return found
}

func (c *Command) covers(path string) bool {
	return slices.ContainsFunc(c.Covered, func(each string) bool {
		return path == each || strings.HasPrefix(path, strings.TrimRight(each, "/")+"/")
	})
}

// whyNot says why the command cannot be started in the root on the architecture `here`, nil if
// it may be, or if that cannot be known.
func whyNot(root string, command *Command, here string) *Program {
	places := command.places()
	if len(places) == 0 {
		return nil
	}
	handle, err := syscall.Open(root, pathOnly|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(handle)
	files := inRoot{handle, command, here}
	found := "missing"
	for _, place := range places {
		if command.covers(place) {
			return nil
		}
		switch problem := files.problem(place); {
		case problem == unknownProblem:
			return nil
		case problem == "":
			return files.formatProblem(place, 0)
		case found == "missing":
			found = problem
		}
	}
	return &Program{Path: shortened(command.Argv[0]), Problem: found}
}

// inRoot is the root of a container, opened.
type inRoot struct {
	handle  int
	command *Command
	here    string
}

func (r inRoot) open(path string) (int, error) {
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, syscall.ENOENT
	}
	how := [3]uint64{pathOnly | syscall.O_CLOEXEC, 0, resolveInRoot}
	handle, _, errno := syscall.Syscall6(openat2Call, uintptr(r.handle), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(handle), nil
}

// status is what is at path, or why there is nothing to see.
func (r inRoot) status(path string) (*syscall.Stat_t, string) {
	handle, err := r.open(path)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return nil, "missing"
	}
	if err != nil {
		return nil, unknownProblem
	}
	defer syscall.Close(handle)
	status := &syscall.Stat_t{}
	if syscall.Fstat(handle, status) != nil {
		return nil, unknownProblem
	}
	return status, ""
}

// read opens the regular file at path.
func (r inRoot) read(path string) (*os.File, error) {
	handle, err := r.open(path)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(handle)
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", handle), os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// problem says why the file at path is not one to start, "" if it is.
func (r inRoot) problem(path string) string {
	status, problem := r.status(path)
	if problem != "" {
		return problem
	}
	switch {
	case status.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return "directory"
	case status.Mode&0o111 == 0:
		return "mode"
	case !r.command.mayExecute(status):
		return "denied"
	}
	return ""
}

func (c *Command) mayExecute(status *syscall.Stat_t) bool {
	switch {
	case c.User == 0:
		return true
	case int(status.Uid) == c.User:
		return status.Mode&0o100 != 0
	case slices.Contains(c.Groups, int(status.Gid)):
		return status.Mode&0o010 != 0
	}
	return status.Mode&0o001 != 0
}

// formatProblem says what is wrong with the content of the file at path, nil for nothing.
func (r inRoot) formatProblem(path string, scripts int) *Program {
	file, err := r.read(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	head := readAt(file, 0, headBytes)
	own := architecture(head)
	if own != "" && own != r.here {
		if related[r.here] == own {
			return nil
		}
		return &Program{shortened(path), "machine", own, r.here}
	}
	isScript := bytes.HasPrefix(head, []byte("#!"))
	name := loaderOf(file)
	if isScript {
		name = scriptOf(head)
	}
	switch {
	case own == "" && name == "":
		return &Program{Path: shortened(path), Problem: "format"}
	case name == "":
		return nil
	case !isScript:
		scripts = -1
	}
	return r.ofNext(path, name, scripts)
}

// ofNext says what is wrong with the name that the file at path is started by.
func (r inRoot) ofNext(path, name string, scripts int) *Program {
	place := join(r.command.Cwd, name)
	if r.command.covers(place) {
		return nil
	}
	switch problem := r.problem(place); {
	case problem == unknownProblem:
		return nil
	case problem != "" && scripts >= 0:
		return &Program{Path: shortened(path), Problem: "interpreter", Name: shortened(name)}
	case problem != "":
		return &Program{Path: shortened(path), Problem: "loader", Name: shortened(name)}
	case scripts < 0:
		return r.ofLibraries(path, name)
	case scripts >= mostScripts:
		return nil
	}
	return r.formatProblem(place, scripts+1)
}

// ofLibraries says which library the loader does not find for the program at path, nil for none.
func (r inRoot) ofLibraries(path, loader string) *Program {
	if r.command.Code != noLibrary {
		return nil
	}
	looking := &search{root: r, loader: loader, looks: mostLooks}
	name, neededBy := looking.missing(path)
	if name == "" {
		return nil
	}
	return &Program{shortened(neededBy), "library", shortened(name), shortened(loader)}
}

func ownArchitecture() string {
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		return ""
	}
	defer file.Close()
	return architecture(readAt(file, 0, 64))
}

// scriptOf is what a script names as its interpreter: execve(2).
func scriptOf(head []byte) string {
	line, _, _ := bytes.Cut(head[2:min(len(head), 256)], []byte("\n"))
	name, _, _ := bytes.Cut(bytes.ReplaceAll(bytes.Trim(line, " \t"), []byte("\t"), []byte(" ")), []byte(" "))
	name, _, _ = bytes.Cut(name, []byte{0})
	return string(name)
}

func join(cwd, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return strings.TrimRight(cwd, "/") + "/" + name
}

func shortened(name string) string {
	characters := []rune(strings.ToValidUTF8(name, "\ufffd"))
	return string(characters[:min(len(characters), maxName)])
}

func orHere(directory string) string {
	if directory == "" {
		return "."
	}
	return directory
}
