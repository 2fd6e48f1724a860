package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// vsock(7) and linux/vm_sockets.h. The parent's CID is 3:
// https://docs.aws.amazon.com/enclaves/latest/user/nitro-enclave-concepts.html
const (
	afVsock   = 40
	anyCID    = 0xffffffff
	parentCID = 3
	backlog   = 4096 // of connections that wait, as vcr has outside
	patience  = 20 * time.Second
	pause     = 100 * time.Millisecond
)

// address is struct sockaddr_vm.
type address struct {
	family   uint16
	reserved uint16
	port     uint32
	cid      uint32
	flags    uint8
	zero     [3]uint8
}

// dial connects to a port of the parent, which may need a moment to be there.
func dial(port uint32) (*os.File, error) {
	deadline := time.Now().Add(patience)
	for {
		file, err := dialOnce(port)
		if err == nil || time.Now().After(deadline) {
			return file, err
		}
		time.Sleep(pause)
	}
}

func dialOnce(port uint32) (*os.File, error) {
	fd, err := syscall.Socket(afVsock, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("vsock: %w", err)
	}
	if err := socketCall(syscall.SYS_CONNECT, fd, &address{family: afVsock, cid: parentCID, port: port}); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("connecting to the parent's port %d: %w", port, err)
	}
	return pollable(fd, "vsock")
}

// listen calls handle, in a goroutine of its own, for each connection to a port; for at most
// so many at a time, others wait.
func listen(port uint32, most int, handle func(*os.File)) error {
	fd, err := syscall.Socket(afVsock, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("vsock: %w", err)
	}
	if err := socketCall(syscall.SYS_BIND, fd, &address{family: afVsock, cid: anyCID, port: port}); err != nil {
		return fmt.Errorf("listening on port %d: %w", port, err)
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		return err
	}
	go accept(fd, most, handle)
	return nil
}

func accept(fd, most int, handle func(*os.File)) {
	free := make(chan struct{}, most)
	for {
		free <- struct{}{}
		got, _, errno := syscall.Syscall6(syscall.SYS_ACCEPT4, uintptr(fd), 0, 0, syscall.SOCK_CLOEXEC, 0, 0)
		file, err := (*os.File)(nil), error(errno)
		if errno == 0 {
			file, err = pollable(int(got), "vsock")
		}
		if err != nil {
			<-free
			time.Sleep(pause)
			continue
		}
		go func() {
			handle(file)
			<-free
		}()
	}
}

func socketCall(number uintptr, fd int, where *address) error {
	_, _, errno := syscall.Syscall(number, uintptr(fd), uintptr(unsafe.Pointer(where)), unsafe.Sizeof(*where))
	if errno != 0 {
		return errno
	}
	return nil
}

// pollable makes a file of which reads and writes end when it is closed.
func pollable(fd int, name string) (*os.File, error) {
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// endWrites says that nothing more will be written.
func endWrites(file *os.File) {
	if raw, err := file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_WR) })
	}
}

// ioctl is ioctl(2). What argument points to stays where it is for as long.
//
//go:uintptrescapes
func ioctl(file *os.File, request, argument uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, argument); errno != 0 {
		return errno
	}
	return nil
}
