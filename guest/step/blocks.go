package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// What the kernel and the server of a block device say to each other:
// https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
const (
	nbdRequestMagic = 0x25609513
	nbdReplyMagic   = 0x67446698
	nbdRequestSize  = 28
	nbdReplySize    = 16
	nbdRead         = 0
	nbdEnd          = 2
	nbdBlock        = 4096
	nbdFlags        = 1 | 2 // has flags, read-only
)

// blockDevice makes a mapped file a block device, and returns its name.
func blockDevice(m mapped) (string, error) {
	windows, err := m.windows()
	if err != nil {
		return "", err
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	go func() {
		if err := serve(pair[0], windows); err != nil {
			die(fmt.Errorf("reading a layer: %w", err))
		}
	}()
	number, err := connectNBD(pair[1], m.size())
	if err != nil {
		return "", fmt.Errorf("making a block device: %w", err)
	}
	syscall.Close(pair[1])
	return fmt.Sprintf("/dev/nbd%d", number), nil
}

// serve answers the kernel's requests until it closes the socket. It waits in system calls, not in
// Go's poller: that would be two more of them for each request.
func serve(socket int, w *windows) error {
	var request [nbdRequestSize]byte
	for {
		if err := readFull(socket, request[:]); err != nil {
			return err
		}
		kind := binary.BigEndian.Uint16(request[6:])
		offset := int64(binary.BigEndian.Uint64(request[16:]))
		left := int64(binary.BigEndian.Uint32(request[24:]))
		switch {
		case binary.BigEndian.Uint32(request[:]) != nbdRequestMagic:
			return errors.New("a request that is none")
		case kind == nbdEnd:
			return nil
		case kind != nbdRead:
			return fmt.Errorf("a request %d", kind)
		}
		var reply [nbdReplySize]byte
		binary.BigEndian.PutUint32(reply[:], nbdReplyMagic)
		copy(reply[8:], request[8:16])
		if err := writeFull(socket, reply[:]); err != nil {
			return err
		}
		for left > 0 {
			data, err := w.at(offset, left)
			if err != nil {
				return err
			}
			if err := writeFull(socket, data); err != nil {
				return err
			}
			offset, left = offset+int64(len(data)), left-int64(len(data))
		}
	}
}

func readFull(file int, data []byte) error {
	for len(data) > 0 {
		n, err := syscall.Read(file, data)
		if err == syscall.EINTR {
			continue
		}
		if n == 0 && err == nil {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		data = data[n:]
	}
	return nil
}

func writeFull(file int, data []byte) error {
	for len(data) > 0 {
		n, err := syscall.Write(file, data)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("write", err)
		}
		data = data[n:]
	}
	return nil
}
