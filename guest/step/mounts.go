package main

import (
	"archive/tar"
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Mount is one `RUN --mount`, resolved by the host.
type Mount struct {
	Kind     string `json:"kind"` // bind, cache, tmpfs, secret
	Target   string `json:"target"`
	Image    mapped `json:"image"`  // squashfs of what is shown; nothing for an empty one
	Source   string `json:"source"` // path in the image
	Writable bool   `json:"writable"`
	Size     int64  `json:"size"` // of a tmpfs, bytes; 0 for half the memory
	Content  string `json:"content"`
	Mode     uint32 `json:"mode"`
	UID      int    `json:"uid"`
	GID      int    `json:"gid"`
	Carry    string `json:"carry"` // name under which a cache goes on to later steps
}

func (m *Mount) dir(index int) string { return fmt.Sprintf("/mounts/%d", index) }

// mountAsked mounts what a --mount flag asks for.
func (r *Root) mountAsked(index int, m *Mount) error {
	switch m.Kind {
	case "secret":
		return r.mountSecret(index, m)
	case "tmpfs":
		if _, err := r.point(m.Target, true); err != nil {
			return err
		}
		options := "mode=1777"
		if m.Size > 0 {
			options += fmt.Sprintf(",size=%d", m.Size)
		}
		return r.mount("tmpfs", m.Target, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, options)
	}
	source, err := m.prepare(index)
	if err != nil {
		return err
	}
	info, err := os.Lstat(source)
	if err != nil {
		return fmt.Errorf("--mount of %s: there is no %s in what is mounted", m.Target, m.Source)
	}
	if _, err := r.point(m.Target, info.IsDir()); err != nil {
		return err
	}
	return r.bind(source, m.Target, !m.Writable)
}

// prepare returns what to bind: the image, under a writable layer when it is writable.
func (m *Mount) prepare(index int) (string, error) {
	dir := m.dir(index)
	lower := dir + "/lower"
	if err := os.MkdirAll(lower, 0o755); err != nil {
		return "", err
	}
	if len(m.Image) > 0 {
		if err := mountSquashfs(m.Image, lower); err != nil {
			return "", err
		}
	}
	at := lower
	if m.Writable {
		// On the disk of the step, so that it counts where the rest of what is written does.
		upper := fmt.Sprintf("%s/m%d", upperDir, index)
		at = dir + "/merged"
		for _, d := range []string{upper + "/u", upper + "/w", at} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return "", err
			}
		}
		options := "lowerdir=" + lower + ",upperdir=" + upper + "/u,workdir=" + upper + "/w"
		if err := syscall.Mount("overlay", at, "overlay", 0, options); err != nil {
			return "", fmt.Errorf("mounting %s: %w", m.Target, err)
		}
	}
	if m.Kind == "cache" && len(m.Image) == 0 {
		if err := os.Chown(at, m.UID, m.GID); err != nil {
			return "", err
		}
		if err := syscall.Chmod(at, m.Mode); err != nil {
			return "", err
		}
	}
	return within(at, m.Source)
}

func (r *Root) mountSecret(index int, m *Mount) error {
	source := m.dir(index)
	if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(source, []byte(m.Content), 0o600); err != nil {
		return err
	}
	if err := syscall.Chmod(source, m.Mode); err != nil {
		return err
	}
	if err := os.Chown(source, m.UID, m.GID); err != nil {
		return err
	}
	if _, err := r.point(m.Target, false); err != nil {
		return err
	}
	return r.bind(source, m.Target, true)
}

// sendCaches sends what is in the caches that later steps go on with, each under a
// directory of its name.
func (r *Root) sendCaches(job *Job) error {
	port, err := openPort(cachePort)
	if err != nil {
		return err
	}
	defer port.Close()
	out := bufio.NewWriterSize(port, portChunkSize)
	archive := tar.NewWriter(out)
	packer := newPacker(archive, "", "")
	for i := range job.Mounts {
		m := &job.Mounts[i]
		if m.Carry == "" {
			continue
		}
		packer.of(m.dir(i)+"/merged", m.Carry+"/")
		if err := packer.pack(""); err != nil {
			return err
		}
	}
	return finish(archive, out, packer.pages)
}
