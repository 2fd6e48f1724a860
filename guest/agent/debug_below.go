//go:build debug

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

const maxPath = 4096 // bytes of a path, as Linux: PATH_MAX

// below is an open directory. What is made below it is made through no link: a path is walked
// name by name, and what is on the way has to be a directory itself, as vcr/beneath.py
// does it on the host.
type below int

func openBelow(path string) (below, error) {
	fd, err := openDirectory(syscall.Open, path)
	return below(fd), err
}

func (b below) close() { _ = syscall.Close(int(b)) }

// at calls act with the directory above names, opened, and the last of them.
func (b below) at(names []string, act func(above int, name string) error) error {
	above, err := syscall.Dup(int(b))
	for _, name := range names[:len(names)-1] {
		if err != nil {
			break
		}
		inside := above
		above, err = openDirectory(func(path string, flags int, mode uint32) (int, error) {
			return syscall.Openat(inside, path, flags, mode)
		}, name)
		_ = syscall.Close(inside)
	}
	if err == nil {
		defer syscall.Close(above)
		err = act(above, names[len(names)-1])
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(names, "/"), err)
	}
	return nil
}

// makeDirectory makes one of the mode, whatever the umask is; its owner may read it.
func (b below) makeDirectory(names []string, mode uint32) error {
	return b.at(names, func(above int, name string) error {
		if err := syscall.Mkdirat(above, name, 0o700); err != nil {
			return err
		}
		made, err := openDirectory(func(path string, flags int, mode uint32) (int, error) {
			return syscall.Openat(above, path, flags, mode)
		}, name)
		if err != nil {
			return err
		}
		defer syscall.Close(made)
		return syscall.Fchmod(made, mode)
	})
}

// create returns a new file, open for writing.
func (b below) create(names []string) (file *os.File, err error) {
	const flags = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	err = b.at(names, func(above int, name string) error {
		fd, err := syscall.Openat(above, name, flags, 0o600)
		if err == nil {
			file = os.NewFile(uintptr(fd), name)
		}
		return err
	})
	return file, err
}

// link makes a symbolic link, which package syscall offers for paths only.
func (b below) link(names []string, target string) error {
	return b.at(names, func(above int, name string) error {
		from, err := syscall.BytePtrFromString(target)
		if err != nil {
			return err
		}
		to, err := syscall.BytePtrFromString(name)
		if err != nil {
			return err
		}
		_, _, errno := syscall.Syscall(syscall.SYS_SYMLINKAT, uintptr(unsafe.Pointer(from)),
			uintptr(above), uintptr(unsafe.Pointer(to)))
		if errno != 0 {
			return errno
		}
		return nil
	})
}

func openDirectory(open func(string, int, uint32) (int, error), path string) (int, error) {
	return open(path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
}

// namesIn returns the parts of a path that leads downwards; vcr/agent/transfer.py has the same.
func namesIn(path string) ([]string, error) {
	if !filepath.IsLocal(path) || filepath.Clean(path) == "." || len(path) > maxPath {
		return nil, fmt.Errorf("%.200q leads elsewhere", path)
	}
	for _, name := range strings.Split(path, "/") {
		if name == ".." {
			return nil, fmt.Errorf("%q leads elsewhere", path)
		}
	}
	return strings.Split(filepath.Clean(path), "/"), nil
}
