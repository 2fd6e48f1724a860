package main

import (
	"errors"
	"slices"
	"strings"
	"syscall"
)

// Which library that a program is linked with its loader does not find, as
// vcr/diagnosis/libraries.py has it; tests/vectors/programs.json tries both.

const (
	mostFiles = 256     // programs and libraries that are read
	mostLooks = 4096    // at places where a library may be
	mostCache = 4 << 20 // bytes of glibc's cache that are read
	cacheFile = "/etc/ld.so.cache"
)

var (
	systemPlaces = []string{"/lib", "/usr/lib", "/lib64", "/usr/lib64"}
	triplets     = map[string]string{
		"62:2": "x86_64-linux-gnu", "183:2": "aarch64-linux-gnu", "243:2": "riscv64-linux-gnu",
	}
	muslPlaces = []string{"/lib", "/usr/local/lib", "/usr/lib"}
	// Libraries that musl's loader is itself.
	muslOwn    = []string{"c", "pthread", "rt", "m", "dl", "util", "xnet"}
	errUnknown = errors.New("where the loader looks is not known")
)

// search is how the loader of a program looks for libraries.
type search struct {
	root   inRoot
	loader string
	looks  int // that are left
}

// missing is the first library that the program, or a library of it, does not find, and who
// needs it; "" for none, and where that cannot be known.
func (s *search) missing(program string) (name, neededBy string) {
	own, err := s.needs(program)
	if err != nil {
		return "", ""
	}
	first := withOrigin(own.paths, program) // DT_RPATH holds for libraries of libraries, too
	cache, usual := s.cache(), s.usual()
	seen := map[string]bool{base(s.loader): true}
	files := []linked{{program, own}}
	for read := 0; read < min(len(files), mostFiles); read++ {
		each := files[read]
		places := slices.Concat(first, withOrigin(each.needs.paths, each.path), usual)
		for _, library := range each.needs.libraries {
			if seen[library] || s.isMusl() && isMuslOwn(library) {
				continue
			}
			seen[library] = true
			path, err := s.find(library, places)
			if err != nil {
				return "", ""
			}
			if path != "" {
				more, err := s.needs(path)
				if err != nil {
					return "", ""
				}
				files = append(files, linked{path, more})
			} else if !strings.Contains(cache, "\x00"+library+"\x00") {
				return library, each.path
			}
		}
	}
	return "", ""
}

// linked is a program or a library at its path.
type linked struct {
	path  string
	needs needs
}

func (s *search) isMusl() bool { return muslName(s.loader) != "" }

func (s *search) needs(path string) (needs, error) {
	file, err := s.root.read(path)
	if err != nil {
		return needs{}, err
	}
	defer file.Close()
	return needsOf(file), nil
}

// cache is glibc's list of libraries; that of a name in it is taken to be there.
func (s *search) cache() string {
	if s.isMusl() {
		return ""
	}
	file, err := s.root.read(cacheFile)
	if err != nil {
		return ""
	}
	defer file.Close()
	return string(readAt(file, 0, mostCache))
}

// usual is where libraries are looked for in any case.
func (s *search) usual() []string {
	var places []string
	for _, entry := range s.root.command.Env {
		value, isIt := strings.CutPrefix(entry, "LD_LIBRARY_PATH=")
		if !isIt {
			continue
		}
		for _, each := range strings.Split(strings.ReplaceAll(value, ";", ":"), ":") {
			if value != "" {
				places = append(places, orHere(each))
			}
		}
		break
	}
	if musl := muslName(s.loader); musl != "" {
		return append(places, s.muslUsual(musl)...)
	}
	if triplet := triplets[s.root.here]; triplet != "" {
		for _, each := range systemPlaces[:2] {
			places = append(places, each+"/"+triplet)
		}
	}
	return append(places, systemPlaces...)
}

func (s *search) muslUsual(name string) []string {
	file, err := s.root.read("/etc/ld-musl-" + name + ".path")
	if err != nil {
		return muslPlaces
	}
	defer file.Close()
	text := string(readAt(file, 0, headBytes))
	return strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == '\n' })
}

// muslName is NAME of a loader ld-musl-NAME.so.1, "" for another one.
func muslName(loader string) string {
	name, isIt := strings.CutPrefix(base(loader), "ld-musl-")
	name, ends := strings.CutSuffix(name, ".so.1")
	isPart := func(r rune) bool {
		return r == '.' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if !isIt || !ends || len(name) > 40 || strings.TrimFunc(name, isPart) != "" || !strings.Contains(loader, "/") {
		return ""
	}
	return name
}

// isMuslOwn says whether musl's loader is the library itself.
func isMuslOwn(library string) bool {
	name, isIt := strings.CutPrefix(library, "lib")
	name, _, hasVersion := strings.Cut(name, ".")
	return isIt && hasVersion && slices.Contains(muslOwn, name)
}

// find is the path of a library, "" if it is in none of the places.
func (s *search) find(name string, places []string) (string, error) {
	var paths []string
	if strings.Contains(name, "/") {
		paths = []string{name}
	} else {
		for _, each := range places {
			paths = append(paths, each+"/"+name)
		}
	}
	for _, path := range paths {
		path = join(s.root.command.Cwd, path)
		if is, err := s.isLibrary(path); is || err != nil {
			return path, err
		}
	}
	return "", nil
}

// isLibrary says whether the loader takes the file: one for another architecture it skips.
func (s *search) isLibrary(path string) (bool, error) {
	if s.looks--; s.looks < 0 || strings.Contains(path, "$") || s.root.command.covers(path) {
		return false, errUnknown
	}
	status, problem := s.root.status(path)
	switch {
	case problem == unknownProblem:
		return false, errUnknown
	case problem != "" || status.Mode&syscall.S_IFMT != syscall.S_IFREG:
		return false, nil
	}
	file, err := s.root.read(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	return architecture(readAt(file, 0, headBytes)) == s.root.here, nil
}

// withOrigin is which directories the paths of the file at path are.
func withOrigin(paths []string, path string) []string {
	directory := path[:max(strings.LastIndex(path, "/"), 0)]
	if directory == "" {
		directory = "/"
	}
	var found []string
	for _, each := range paths {
		for _, place := range strings.Split(each, ":") {
			if place != "" {
				found = append(found, replaceOrigin(place, directory))
			}
		}
	}
	return found
}

func replaceOrigin(place, directory string) string {
	isWord := func(c byte) bool {
		return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	var made strings.Builder
	for place != "" {
		if rest, isIt := strings.CutPrefix(place, "${ORIGIN}"); isIt {
			made.WriteString(directory)
			place = rest
		} else if rest, isIt := strings.CutPrefix(place, "$ORIGIN"); isIt && (rest == "" || !isWord(rest[0])) {
			made.WriteString(directory)
			place = rest
		} else {
			made.WriteByte(place[0])
			place = place[1:]
		}
	}
	return made.String()
}

func base(path string) string { return path[strings.LastIndex(path, "/")+1:] }
