package main

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Of the OCI image specification 1.1, "Image Layer Filesystem Changeset".
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

const (
	opaqueXattr   = "trusted.overlay.opaque"
	paxXattr      = "SCHILY.xattr."
	capability    = "security.capability"
	portChunkSize = 32 << 10 // the most that one write to a virtio-serial port takes
)

// sendLayer packs what the command changed, as a tar with whiteouts. The host
// sorts and normalises it.
func sendLayer(job *Job) error {
	port, err := openPort(layerPort)
	if err != nil {
		return err
	}
	defer port.Close()
	out := bufio.NewWriterSize(port, portChunkSize)
	archive := tar.NewWriter(out)
	packer := newPacker(archive, upperDir+"/u", belowDir)
	if err := packer.pack(""); err != nil {
		return fmt.Errorf("packing the layer: %w", err)
	}
	return finish(archive, out, packer.pages)
}

// finish ends an archive, and says after it where the large files in it are.
func finish(archive *tar.Writer, out *bufio.Writer, large *pages) error {
	if err := archive.Close(); err != nil {
		return err
	}
	if err := large.write(out); err != nil {
		return err
	}
	return out.Flush()
}

type packer struct {
	archive *tar.Writer
	dir     string
	below   string // the layers below; directories that did not change are left out
	prefix  string // of every name
	first   map[uint64]string
	pages   *pages
	entries int // that are in the archive
}

func newPacker(archive *tar.Writer, dir, below string) *packer {
	return &packer{archive: archive, dir: dir, below: below, first: map[uint64]string{}, pages: &pages{}}
}

// of makes it pack another directory, into the same archive.
func (p *packer) of(dir, prefix string) {
	p.dir, p.prefix, p.first = dir, prefix, map[uint64]string{}
}

func (p *packer) write(header *tar.Header) error {
	p.entries++
	return p.archive.WriteHeader(header)
}

// pack writes the entry at a path relative to the directory, and all below it.
func (p *packer) pack(path string) error {
	var status syscall.Stat_t
	full := filepath.Join(p.dir, path)
	if err := syscall.Lstat(full, &status); err != nil {
		return err
	}
	if status.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return p.packDir(path, full, &status)
	}
	if status.Mode&syscall.S_IFMT == syscall.S_IFCHR && status.Rdev == 0 {
		hidden := filepath.Join(filepath.Dir(path), whiteout+filepath.Base(path))
		return p.write(&tar.Header{Typeflag: tar.TypeReg, Name: p.prefix + hidden, Format: tar.FormatPAX})
	}
	header, err := p.header(path, full, &status)
	if err != nil || header == nil {
		return err
	}
	if status.Nlink > 1 {
		if name, seen := p.first[status.Ino]; seen {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, name, 0
			return p.write(header)
		}
		p.first[status.Ino] = header.Name
	}
	if header.Typeflag != tar.TypeReg {
		return p.write(header)
	}
	file, err := os.Open(full)
	if err != nil {
		return err
	}
	defer file.Close()
	if header.Size >= largeSize {
		if err := p.pages.add(p.entries, file, header.Size); err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
		header.Size = 0
	}
	if err := p.write(header); err != nil {
		return err
	}
	_, err = io.CopyN(p.archive, file, header.Size)
	return err
}

func (p *packer) packDir(path, full string, status *syscall.Stat_t) error {
	value, err := lgetxattr(full, opaqueXattr)
	isOpaque := err == nil && string(value) == "y"
	if isOpaque || !p.unchanged(path, full, status) {
		header, err := p.header(path, full, status)
		if err != nil {
			return err
		}
		if err := p.write(header); err != nil {
			return err
		}
	}
	if isOpaque {
		name := p.prefix + filepath.Join(path, opaque)
		if err := p.write(&tar.Header{Typeflag: tar.TypeReg, Name: name, Format: tar.FormatPAX}); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(full) // sorted by name
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := p.pack(filepath.Join(path, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// unchanged tells whether a directory was copied up only because of what is in it.
func (p *packer) unchanged(path, full string, status *syscall.Stat_t) bool {
	if p.below == "" {
		return false
	}
	var old syscall.Stat_t
	below := filepath.Join(p.below, path)
	if err := syscall.Lstat(below, &old); err != nil {
		return false
	}
	if old.Mode != status.Mode || old.Uid != status.Uid || old.Gid != status.Gid {
		return false
	}
	now, errNow := kept(full)
	before, errBefore := kept(below)
	return errNow == nil && errBefore == nil && slices.Equal(now, before)
}

// header returns the tar header of an entry, or nil for one that no archive holds.
func (p *packer) header(path, full string, status *syscall.Stat_t) (*tar.Header, error) {
	header := &tar.Header{
		Format: tar.FormatPAX,
		Name:   p.prefix + path,
		Mode:   int64(status.Mode & 0o7777),
		Uid:    int(status.Uid),
		Gid:    int(status.Gid),
	}
	switch status.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		header.Typeflag, header.Size = tar.TypeReg, status.Size
	case syscall.S_IFDIR:
		header.Typeflag = tar.TypeDir
		header.Name += "/"
	case syscall.S_IFLNK:
		target, err := os.Readlink(full)
		if err != nil {
			return nil, err
		}
		header.Typeflag, header.Linkname = tar.TypeSymlink, target
	case syscall.S_IFCHR:
		header.Typeflag = tar.TypeChar
	case syscall.S_IFBLK:
		header.Typeflag = tar.TypeBlock
	case syscall.S_IFIFO:
		header.Typeflag = tar.TypeFifo
	default:
		return nil, nil // a socket: nobody listens on it any more
	}
	if header.Typeflag == tar.TypeChar || header.Typeflag == tar.TypeBlock {
		header.Devmajor, header.Devminor = devNumbers(uint64(status.Rdev))
	}
	pairs, err := kept(full)
	if err != nil {
		return nil, err
	}
	if len(pairs) > 0 {
		header.PAXRecords = map[string]string{}
	}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		header.PAXRecords[paxXattr+name] = value
	}
	return header, nil
}

// devNumbers takes a device number apart: makedev(3).
func devNumbers(device uint64) (int64, int64) {
	major := device>>8&0xfff | device>>32&^0xfff
	minor := device&0xff | device>>12&^0xff
	return int64(major), int64(minor)
}

// kept returns name=value of the extended attributes that belong to a layer, sorted.
func kept(path string) ([]string, error) {
	names, err := llistxattr(path)
	if err == syscall.ENOTSUP {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pairs []string
	for _, name := range names {
		if name != capability && !strings.HasPrefix(name, "user.") {
			continue
		}
		value, err := lgetxattr(path, name)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, name+"="+string(value))
	}
	slices.Sort(pairs)
	return pairs, nil
}
