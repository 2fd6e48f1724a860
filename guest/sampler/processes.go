package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// mapping is a part of a file, or of nothing, that a process may execute.
type mapping struct {
	begin, end, offset uint64
	path               string
}

// process is what is known of one that was seen.
type process struct {
	pid      uint32
	name     string
	isApp    bool // it is in the app's container
	mappings []mapping
}

// processes are all that were seen, also when they have ended.
type processes struct {
	byPID map[uint32]*process
	own   string // mount namespace of the machine itself; the container has another
	files map[string]*symbols
}

func newProcesses() *processes {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	return &processes{byPID: map[uint32]*process{}, own: own, files: map[string]*symbols{}}
}

// of returns a process that was sampled. One may enter the container long after its begin.
func (p *processes) of(pid uint32) *process {
	found := p.byPID[pid]
	if found == nil {
		return p.load(pid)
	}
	p.locate(found)
	return found
}

// locate finds out where a process is. One that has ended is where it was.
func (p *processes) locate(found *process) {
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", found.pid))
	if err != nil {
		return
	}
	_, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", found.pid))
	found.isApp = namespace != p.own && err == nil // a thread of the kernel has no file
}

// load reads what /proc has of a process.
func (p *processes) load(pid uint32) *process {
	made := &process{pid: pid, name: "[unknown]"}
	p.byPID[pid] = made
	p.locate(made)
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		made.name = clean(strings.TrimSpace(string(comm)))
	}
	maps, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		// proc(5): address perms offset dev inode pathname
		words := strings.SplitN(lines.Text(), " ", 6)
		if len(words) < 6 || !strings.Contains(words[1], "x") {
			continue
		}
		begin, end, _ := strings.Cut(words[0], "-")
		m := mapping{path: strings.TrimSpace(words[5])}
		m.begin, _ = strconv.ParseUint(begin, 16, 64)
		m.end, _ = strconv.ParseUint(end, 16, 64)
		m.offset, _ = strconv.ParseUint(words[2], 16, 64)
		made.mappings = append(made.mappings, m)
	}
	return made
}

func (p *processes) named(pid uint32, name string, isExec bool) {
	found := p.byPID[pid]
	if found == nil {
		found = p.load(pid)
	}
	found.name = clean(name)
	if isExec {
		found.mappings = nil // those of the new program are yet to come
	}
}

func (p *processes) forked(pid, parent uint32) {
	from := p.byPID[parent]
	if from == nil {
		from = p.load(parent)
	}
	p.byPID[pid] = &process{pid, from.name, from.isApp, append([]mapping{}, from.mappings...)}
}

func (p *processes) mapped(pid uint32, m mapping) {
	found := p.byPID[pid]
	if found == nil {
		found = p.load(pid)
	}
	found.mappings = append(found.mappings, m)
}

// symbol names an address of a process as OBJECT`SYMBOL, and says whether it is one of code.
func (p *processes) symbol(process *process, address uint64) (string, bool) {
	// A later mapping hides an earlier one.
	for i := len(process.mappings) - 1; i >= 0; i-- {
		m := process.mappings[i]
		if address < m.begin || address >= m.end {
			continue
		}
		object := clean(m.path[strings.LastIndex(m.path, "/")+1:])
		if !strings.HasPrefix(m.path, "/") {
			if object == "" || object == "anon" {
				object = "[anonymous]" // code that the program made itself
			}
			return object + "`[unknown]", true
		}
		return object + "`" + p.file(process, m.path).name(address-m.begin+m.offset), true
	}
	return "[unknown]", false
}

// file returns the symbols of a file as a process sees it; once it has ended, as another
// process in the same place does.
func (p *processes) file(process *process, path string) *symbols {
	key := fmt.Sprint(process.isApp, path)
	if p.files[key] != nil {
		return p.files[key]
	}
	roots := []string{fmt.Sprintf("/proc/%d/root", process.pid)}
	for _, other := range p.byPID {
		if other.isApp == process.isApp {
			roots = append(roots, fmt.Sprintf("/proc/%d/root", other.pid))
		}
	}
	for _, root := range roots {
		if found, err := readSymbols(root + path); err == nil {
			p.files[key] = found
			return found
		}
	}
	return &symbols{}
}

// clean takes out what separates frames in a folded stack.
func clean(name string) string {
	return strings.NewReplacer(";", "_", "`", "_", "\n", "_").Replace(name)
}
