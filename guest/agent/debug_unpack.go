//go:build debug

package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// unpack writes what the archive has at its top to the path or, if that is a directory, into
// it. It appears whole or not at all; a file replaces a file, a directory nothing.
func (t *task) unpack() error {
	archive := tar.NewReader(t.input)
	header, err := archive.Next()
	if err != nil {
		return fmt.Errorf("there is nothing to write: %w", err)
	}
	top, _, _ := strings.Cut(header.Name, "/")
	target, err := placeOf(t.Path, top, header.Typeflag == tar.TypeDir)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(target), ".vcr-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	var links []*tar.Header
	for ; err == nil; header, err = archive.Next() {
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("%q leads elsewhere", header.Name)
		}
		if header.Typeflag == tar.TypeSymlink {
			links = append(links, header)
		} else if err := unpackOne(archive, header, filepath.Join(scratch, header.Name)); err != nil {
			return err
		}
	}
	if err != io.EOF {
		return err
	}
	for _, link := range links { // last: nothing is written through one
		if err := os.Symlink(link.Linkname, filepath.Join(scratch, link.Name)); err != nil {
			return err
		}
	}
	if err := t.ctx.Err(); err != nil {
		return err
	}
	return os.Rename(filepath.Join(scratch, top), target)
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
		return "", fmt.Errorf("%s is there already", target)
	}
	return target, nil
}

func unpackOne(archive io.Reader, header *tar.Header, path string) error {
	mode := fs.FileMode(header.Mode) & permissions
	switch header.Typeflag {
	case tar.TypeDir:
		return os.Mkdir(path, mode|0o700)
	case tar.TypeReg:
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, archive)
		if err == nil {
			err = file.Chmod(mode) // whatever the umask is
		}
		if err := file.Close(); err != nil {
			return err
		}
		if err == nil {
			err = os.Chtimes(path, time.Time{}, header.ModTime)
		}
		return err
	}
	return fmt.Errorf("%s is neither a file, a directory nor a link", header.Name)
}
