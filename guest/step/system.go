package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// loadModules inserts the modules of a directory in the order its file "order" has.
func loadModules(dir string) error {
	order, err := os.ReadFile(filepath.Join(dir, "order"))
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(order)) {
		module, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		none := []byte{0}
		_, _, errno := syscall.Syscall(sysInitModule, uintptr(unsafe.Pointer(&module[0])),
			uintptr(len(module)), uintptr(unsafe.Pointer(&none[0])))
		if errno != 0 {
			return fmt.Errorf("loading %s: %w", name, errno)
		}
	}
	return os.RemoveAll(dir) // it is memory
}

// openPort opens the virtio-serial port of a name.
func openPort(name string) (*os.File, error) {
	entries, err := filepath.Glob("/sys/class/virtio-ports/*")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		got, err := os.ReadFile(filepath.Join(entry, "name"))
		if err == nil && strings.TrimSpace(string(got)) == name {
			return os.OpenFile("/dev/"+filepath.Base(entry), os.O_RDWR, 0)
		}
	}
	return nil, fmt.Errorf("there is no port %s", name)
}

// mountSquashfs mounts the squashfs in a mapped file read-only.
func mountSquashfs(file mapped, at string) error {
	device, err := blockDevice(file)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(device, at, "squashfs", syscall.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", device, at, err)
	}
	return nil
}

// lgetxattr returns an extended attribute of a path itself, links not followed.
func lgetxattr(path, name string) ([]byte, error) {
	return grown(func(buffer []byte) (uintptr, syscall.Errno) {
		return xattrCall(syscall.SYS_LGETXATTR, path, &name, buffer)
	})
}

// llistxattr returns the names of the extended attributes of a path itself.
func llistxattr(path string) ([]string, error) {
	data, err := grown(func(buffer []byte) (uintptr, syscall.Errno) {
		return xattrCall(syscall.SYS_LLISTXATTR, path, nil, buffer)
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range bytes.Split(data, []byte{0}) {
		if len(name) > 0 {
			names = append(names, string(name))
		}
	}
	return names, nil
}

func grown(call func([]byte) (uintptr, syscall.Errno)) ([]byte, error) {
	for size := 256; ; size *= 2 {
		buffer := make([]byte, size)
		n, errno := call(buffer)
		if errno == syscall.ERANGE {
			continue
		}
		if errno != 0 {
			return nil, errno
		}
		return buffer[:n], nil
	}
}

func xattrCall(number uintptr, path string, name *string, buffer []byte) (uintptr, syscall.Errno) {
	p, err := syscall.BytePtrFromString(path)
	if err != nil {
		return 0, syscall.EINVAL
	}
	if name == nil {
		n, _, errno := syscall.Syscall(number, uintptr(unsafe.Pointer(p)),
			uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)))
		return n, errno
	}
	k, err := syscall.BytePtrFromString(*name)
	if err != nil {
		return 0, syscall.EINVAL
	}
	n, _, errno := syscall.Syscall6(number, uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(k)),
		uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)), 0, 0)
	return n, errno
}

// interfaceRequest returns a struct ifreq for the interface of a name.
func interfaceRequest(name string) []byte {
	request := make([]byte, 40)
	copy(request, name)
	return request
}

func ioctl(file int, number uintptr, data []byte) error {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(file), number, uintptr(unsafe.Pointer(&data[0])))
	if errno != 0 {
		return errno
	}
	return nil
}
