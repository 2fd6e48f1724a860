//go:build debug

package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

const atCurrent = -100 // AT_FDCWD, of fcntl.h

// unpack writes what the archive has at its top to the path or, if that is a directory, into
// it. It appears whole or not at all; a file replaces a file, a directory nothing.
func (t *task) unpack() error {
	archive := tar.NewReader(t.input)
	header, err := archive.Next()
	if err != nil {
		return fmt.Errorf("there is nothing to write: %w", err)
	}
	first, err := namesIn(header.Name)
	if err != nil {
		return err
	}
	top := first[0]
	target, err := placeOf(t.Path, top, header.Typeflag == tar.TypeDir)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(target), ".vcr-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	into, err := openBelow(scratch)
	if err != nil {
		return err
	}
	defer into.close()
	if err := unpackAll(archive, header, into); err != nil {
		return err
	}
	if err := t.ctx.Err(); err != nil {
		return err
	}
	return syscall.Renameat(int(into), top, atCurrent, target)
}

// unpackAll writes what the archive has; what is above each entry is a directory made here.
func unpackAll(archive *tar.Reader, header *tar.Header, into below) (err error) {
	type link struct {
		names []string
		goal  string
	}
	var links []link
	for ; err == nil; header, err = archive.Next() {
		names, err := namesIn(header.Name)
		if err != nil {
			return err
		}
		if header.Typeflag == tar.TypeSymlink {
			links = append(links, link{names, header.Linkname})
		} else if err := unpackOne(archive, header, into, names); err != nil {
			return err
		}
	}
	if err != io.EOF {
		return err
	}
	for _, one := range links { // last: nothing is written through one
		if err := into.link(one.names, one.goal); err != nil {
			return err
		}
	}
	return nil
}

// placeOf returns where something called name comes to be when it is copied to path.
func placeOf(path, name string, isDirectory bool) (string, error) {
	target := absolute(path)
	info, err := os.Stat(target)
	if err == nil && info.IsDir() {
		target = filepath.Join(target, name)
		info, err = os.Stat(target)
	} else if strings.HasSuffix(path, "/") {
		return "", fmt.Errorf("%s is no directory", path)
	}
	if err == nil && (isDirectory || info.IsDir()) {
		return "", fmt.Errorf("%s exists already", target)
	}
	return target, nil
}

func unpackOne(archive io.Reader, header *tar.Header, into below, names []string) error {
	mode := fs.FileMode(header.Mode) & permissions
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("%s is a sparse file, whose size is only claimed", header.Name)
		}
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return into.makeDirectory(names, uint32(mode|0o700))
	case tar.TypeReg:
		file, err := into.create(names)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, archive)
		if err == nil {
			err = file.Chmod(mode) // whatever the umask is
		}
		if err == nil {
			err = setTime(file, syscall.NsecToTimespec(header.ModTime.UnixNano()))
		}
		return errors.Join(err, file.Close())
	}
	return fmt.Errorf("%s is neither a file, a directory nor a link", header.Name)
}

// setTime is utimensat(2) without a path: there may be no /proc/self where this is.
func setTime(file *os.File, at syscall.Timespec) error {
	connection, err := file.SyscallConn()
	if err != nil {
		return err
	}
	times := [2]syscall.Timespec{at, at}
	var errno syscall.Errno
	err = connection.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_UTIMENSAT, fd, 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
