//go:build debug

package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const permissions = 0o777 // of a file's mode, all that is passed on

// inside does what a task asks for with the root where the task belongs, so that no link
// leads out of it.
func (t *task) inside(do func() error) error {
	if t.System {
		return do()
	}
	pid, err := appProcess()
	if err != nil {
		return err
	}
	return insideRoot(fmt.Sprintf("/proc/%d/root", pid), nil, do)
}

// insideAsApp is inside with the rights of the app.
func (t *task) insideAsApp(do func() error) error {
	if t.System {
		return do()
	}
	pid, err := appProcess()
	if err != nil {
		return err
	}
	as, err := accountOf(pid)
	if err != nil {
		return err
	}
	return insideRoot(fmt.Sprintf("/proc/%d/root", pid), as, do)
}

// insideRoot has a thread of its own, which ends with it.
func insideRoot(root string, as *account, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := syscall.Unshare(syscall.CLONE_FS)
		if err == nil {
			err = syscall.Chroot(root)
		}
		if err == nil {
			err = syscall.Chdir("/")
		}
		if err == nil && as != nil {
			err = as.become()
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// account is who a thread reads and writes files as: credentials(7).
type account struct {
	user, group uint32
	groups      []uint32
}

func accountOf(pid int) (*account, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	found := &account{}
	for _, line := range strings.Split(string(text), "\n") {
		name, rest, _ := strings.Cut(line, ":")
		var numbers []uint32
		for _, word := range strings.Fields(rest) {
			number, _ := strconv.ParseUint(word, 10, 32)
			numbers = append(numbers, uint32(number))
		}
		switch { // of the first two the last number is the one for files
		case name == "Uid" && len(numbers) == 4:
			found.user = numbers[3]
		case name == "Gid" && len(numbers) == 4:
			found.group = numbers[3]
		case name == "Groups":
			found.groups = numbers
		}
	}
	return found, nil
}

// become is for the calling thread only, unlike what package syscall offers.
func (a *account) become() error {
	groups := append([]uint32{a.group}, a.groups...)
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(groups)),
		uintptr(unsafe.Pointer(&groups[0])), 0)
	if errno != 0 {
		return errno
	}
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSGID, uintptr(a.group), 0, 0)
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(a.user), 0, 0)
	return nil
}

// appProcess returns the ID of the container's first process.
func appProcess() (int, error) {
	output, err := crun("state", app).Output()
	if err != nil {
		return 0, errors.New("the app does not run")
	}
	var state struct {
		PID int `json:"pid"`
	}
	err = json.Unmarshal(output, &state)
	return state.PID, err
}

func (t *task) read() error {
	file, err := os.Open(absolute(t.Path))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{t.stream("out")}, file, make([]byte, piece))
	return err
}

func absolute(path string) string { return filepath.Join("/", path) }

// pack puts out what is at the path, and all below it on the same file system.
func (t *task) pack() error {
	top := absolute(t.Path)
	info, err := os.Lstat(top)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(t.stream("out"))
	device := info.Sys().(*syscall.Stat_t).Dev
	err = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			info, err = entry.Info()
		}
		if err != nil {
			t.complain("left out: %v", err) // it went away, or is not to be read
			return nil
		}
		name, err := filepath.Rel(filepath.Dir(top), path)
		if err != nil {
			return err
		}
		if info.Sys().(*syscall.Stat_t).Dev != device && info.IsDir() {
			t.complain("left out: %s is on another file system", path)
			return fs.SkipDir
		}
		return t.packOne(archive, path, name, info)
	})
	return errors.Join(err, archive.Close())
}

func (t *task) packOne(archive *tar.Writer, path, name string, info fs.FileInfo) error {
	header := &tar.Header{
		Name: name, Mode: int64(info.Mode() & permissions), ModTime: info.ModTime(), Format: tar.FormatPAX,
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		header.Typeflag = tar.TypeDir
		header.Name += "/"
	case mode.IsRegular():
		return t.packFile(archive, path, header, info.Size())
	case mode&fs.ModeSymlink != 0:
		header.Typeflag = tar.TypeSymlink
		target, err := os.Readlink(path)
		if err != nil {
			t.complain("left out: %v", err)
			return nil
		}
		header.Linkname = target
	default:
		t.complain("left out: %s is neither a file, a directory nor a link", path)
		return nil
	}
	return archive.WriteHeader(header)
}

// packFile writes as many bytes as it has said, whatever becomes of the file meanwhile.
func (t *task) packFile(archive *tar.Writer, path string, header *tar.Header, size int64) error {
	// What was a file a moment ago may be a link by now, or a FIFO that nobody writes to.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.complain("left out: %v", err)
		return nil
	}
	defer file.Close()
	var content io.Reader = file
	if size == 0 { // as those of /proc seem to be
		data, _ := io.ReadAll(io.LimitReader(file, 1<<20))
		size, content = int64(len(data)), strings.NewReader(string(data))
	}
	header.Typeflag, header.Size = tar.TypeReg, size
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.Copy(archive, io.LimitReader(content, size))
	if err == nil && n < size {
		_, err = io.CopyN(archive, zeros{}, size-n)
	}
	return err
}

type zeros struct{}

func (zeros) Read(into []byte) (int, error) {
	clear(into)
	return len(into), nil
}
