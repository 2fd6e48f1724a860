package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Root is the file system the command sees, and what was laid over it only for the
// command: none of that is part of the layer.
type Root struct {
	mounted []string // to be unmounted, last first
	made    []string // mount points that the layers do not have, to be removed
}

// mountRoot lays a writable directory over the layers and mounts what a command expects.
func mountRoot(job *Job) (*Root, error) {
	if err := mountOverlay(job); err != nil {
		return nil, err
	}
	root := &Root{}
	for _, name := range []string{"/proc", "/sys", "/dev"} {
		if _, err := root.point(name, true); err != nil {
			return nil, err
		}
	}
	if err := root.mount("sysfs", "/sys", "sysfs", syscall.MS_RDONLY|syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return nil, err
	}
	if err := root.mountDev(); err != nil {
		return nil, err
	}
	if err := root.putFiles(job); err != nil {
		return nil, err
	}
	for i := range job.Mounts {
		if err := root.mountAsked(i, &job.Mounts[i]); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func mountOverlay(job *Job) error {
	var lowers []string
	for i := len(job.Layers) - 1; i >= 0; i-- {
		at := fmt.Sprintf("%s/%d", lowerDir, i)
		if err := mountSquashfs(job.Layers[i], at); err != nil {
			return err
		}
		lowers = append(lowers, at)
	}
	for _, dir := range []string{lowerDir + "/empty", lowerDir + "/none", belowDir, upperDir, rootDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	lower := strings.Join(append(lowers, lowerDir+"/empty"), ":")
	below := lower + ":" + lowerDir + "/none" // overlayfs wants two when nothing is written
	if err := syscall.Mount("overlay", belowDir, "overlay", syscall.MS_RDONLY, "lowerdir="+below); err != nil {
		return fmt.Errorf("joining the layers: %w", err)
	}
	size := fmt.Sprintf("mode=755,nr_inodes=0,size=%d", job.Disk)
	if err := syscall.Mount("tmpfs", upperDir, "tmpfs", 0, size); err != nil {
		return fmt.Errorf("mounting the writable layer: %w", err)
	}
	for _, name := range []string{"/u", "/w"} {
		if err := os.Mkdir(upperDir+name, 0o755); err != nil {
			return err
		}
	}
	// Plain copies only: a layer holds whole files, not references to the ones below.
	options := "lowerdir=" + lower + ",upperdir=" + upperDir + "/u,workdir=" + upperDir +
		"/w,redirect_dir=off,metacopy=off,index=off"
	if err := syscall.Mount("overlay", rootDir, "overlay", 0, options); err != nil {
		return fmt.Errorf("mounting the root: %w", err)
	}
	return nil
}

// mount mounts a file system at a path of the root.
func (r *Root) mount(source, at, kind string, flags uintptr, options string) error {
	target, err := within(rootDir, at)
	if err != nil {
		return err
	}
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mounting %s: %w", at, err)
	}
	r.mounted = append(r.mounted, target)
	return nil
}

// bind shows a file or directory of the machine at a path of the root.
func (r *Root) bind(source, at string, readOnly bool) error {
	if err := r.mount(source, at, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	if !readOnly {
		return nil
	}
	target := r.mounted[len(r.mounted)-1]
	return syscall.Mount("", target, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

// point makes sure there is something to mount on, and returns where it is.
func (r *Root) point(at string, directory bool) (string, error) {
	target, err := within(rootDir, at)
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(target); err == nil {
		return target, nil
	}
	var missing []string
	for dir := filepath.Dir(target); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
		missing = append([]string{dir}, missing...)
	}
	for _, dir := range missing {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
		r.made = append(r.made, dir)
	}
	r.made = append(r.made, target)
	if directory {
		return target, os.Mkdir(target, 0o755)
	}
	return target, os.WriteFile(target, nil, 0o644)
}

// mountDev makes a /dev with what every Linux program may expect.
func (r *Root) mountDev() error {
	if err := r.mount("tmpfs", "/dev", "tmpfs", syscall.MS_NOSUID, "mode=755"); err != nil {
		return err
	}
	devices := []struct {
		name         string
		major, minor int
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}
	for _, d := range devices {
		path := rootDir + "/dev/" + d.name
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, d.major<<8|d.minor); err != nil {
			return err
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	links := [][2]string{
		{"/proc/self/fd", "fd"}, {"fd/0", "stdin"}, {"fd/1", "stdout"}, {"fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
	}
	for _, l := range links {
		if err := os.Symlink(l[0], rootDir+"/dev/"+l[1]); err != nil {
			return err
		}
	}
	for _, m := range [][3]string{
		{"devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"tmpfs", "/dev/shm", "mode=1777"},
		{"mqueue", "/dev/mqueue", ""},
	} {
		if err := os.Mkdir(rootDir+m[1], 0o755); err != nil {
			return err
		}
		if err := r.mount(m[0], m[1], m[0], syscall.MS_NOSUID|syscall.MS_NOEXEC, m[2]); err != nil {
			return err
		}
	}
	return nil
}

// putFiles puts what names the machine, the script of a here-document, and, with a
// network, what makes the proxy the one everybody asks.
func (r *Root) putFiles(job *Job) error {
	files := map[string]string{
		"/etc/hostname": hostname + "\n",
		"/etc/hosts":    "127.0.0.1\tlocalhost " + hostname + "\n::1\tlocalhost\n",
	}
	if job.Network != "none" {
		files["/etc/resolv.conf"] = "nameserver " + dnsAddress + "\n"
	}
	for _, at := range []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"} {
		text, ok := files[at]
		if !ok {
			continue
		}
		source := "/run" + at
		if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			return err
		}
		if _, err := r.point(at, false); err != nil {
			return err
		}
		if err := r.bind(source, at, false); err != nil {
			return err
		}
	}
	if job.Script == "" {
		return nil
	}
	path := rootDir + job.Argv[0]
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(job.Script), 0o755)
}

// leave unmounts everything but the overlay and removes mount points that were made.
func (r *Root) leave() error {
	for i := len(r.mounted) - 1; i >= 0; i-- {
		if err := syscall.Unmount(r.mounted[i], syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting %s: %w", r.mounted[i], err)
		}
	}
	for i := len(r.made) - 1; i >= 0; i-- {
		_ = syscall.Unlink(r.made[i]) // one of the two fails; both do when the
		_ = syscall.Rmdir(r.made[i])  // command has put something there
	}
	return nil
}

// within returns the real path of one inside a directory: links are followed as in a
// chroot, and nothing leads out.
func within(dir, path string) (string, error) {
	todo, done := strings.Split(path, "/"), ""
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = done[:max(strings.LastIndex(done, "/"), 0)]
			continue
		}
		target, err := os.Readlink(dir + done + "/" + part)
		if err != nil {
			done += "/" + part
			continue
		}
		if links++; links > 40 {
			return "", fmt.Errorf("%s is a loop of symbolic links", path)
		}
		if strings.HasPrefix(target, "/") {
			done = ""
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return dir + done, nil
}
