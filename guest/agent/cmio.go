package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A Cartesi machine has no network and no ports; it stops at each request until the host
// sends the next one, through /dev/cmio: linux/cartesi/cmio.h of the kernel that
// https://github.com/cartesi/machine-linux-image builds.
const (
	cmioDevice = "/dev/cmio"
	cmioSetup  = 0x8020d300
	cmioYield  = 0xc008d301
	// Fields of a yield: device (2 is yield), command, reason, length.
	yieldDevice    = 2
	yieldAutomatic = 0
	yieldManual    = 1
	reasonReport   = 4 // automatic: data for the host
	reasonAccepted = 1 // manual: what came is done with, the next one may come
)

// What the first byte of a message from the host means; vcr/engines/cartesi/frames.py
// has the other end.
const (
	frameResume  = 0 // time (8 bytes, seconds since 1970), then entropy
	frameMore    = 1 // port (2 bytes), then a piece of a request
	frameRequest = 2 // the same, the last piece: an answer is expected
	frameAgent   = 3 // a line for the agent
)

const requestTimeout = 60 * time.Second

type cmio struct {
	file   *os.File
	tx, rx []byte
}

func openCmio() (*cmio, error) {
	file, err := os.OpenFile(cmioDevice, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	// struct cmio_setup: address and length of tx, then of rx
	var setup [4]uint64
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), cmioSetup, uintptr(unsafe.Pointer(&setup))); errno != 0 {
		return nil, fmt.Errorf("setting up %s: %w", cmioDevice, errno)
	}
	c := &cmio{file: file}
	for i, buffer := range []*[]byte{&c.tx, &c.rx} {
		protection := uintptr(syscall.PROT_READ)
		if i == 0 {
			protection |= syscall.PROT_WRITE
		}
		// The driver tells the buffers apart by the address that is asked for.
		at, _, errno := syscall.Syscall6(syscall.SYS_MMAP, uintptr(setup[2*i]), uintptr(setup[2*i+1]),
			protection, syscall.MAP_SHARED, file.Fd(), 0)
		if errno != 0 {
			return nil, fmt.Errorf("mapping %s: %w", cmioDevice, errno)
		}
		*buffer = unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), setup[2*i+1])
	}
	return c, nil
}

// yield stops the machine until the host goes on; length bytes of tx are for the host.
// It returns how many bytes of rx are for the machine.
func (c *cmio) yield(command, reason, length uint64) (int, error) {
	word := yieldDevice<<56 | command<<48 | reason<<32 | length
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, c.file.Fd(), cmioYield, uintptr(unsafe.Pointer(&word))); errno != 0 {
		return 0, errno
	}
	return int(uint32(word)), nil
}

// report sends data to the host, in as many pieces as it takes.
func (c *cmio) report(data []byte) error {
	for len(data) > 0 {
		n := copy(c.tx, data)
		if _, err := c.yield(yieldAutomatic, reasonReport, uint64(n)); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// serve is the machine's life after its app is healthy: the first stop is the snapshot.
func (c *cmio) serve(settings *Settings) error {
	var request []byte
	for {
		length, err := c.yield(yieldManual, reasonAccepted, 0)
		if err != nil {
			return err
		}
		message := bytes.Clone(c.rx[:length])
		if len(message) == 0 {
			continue
		}
		frame, err := parseFrame(message)
		switch {
		case err != nil:
		case frame.kind == frameResume:
			err = wake(int64(frame.time), frame.data)
		case frame.kind == frameMore:
			request = append(request, frame.data...)
		case frame.kind == frameRequest:
			err = c.forward(frame.port, append(request, frame.data...))
			request = nil
		case frame.kind == frameAgent:
			err = c.report([]byte(answer(settings, string(frame.data)) + "\n"))
		}
		if err != nil {
			say("%v", err)
		}
	}
}

// frame is a message of the host, taken apart.
type frame struct {
	kind byte
	time uint64
	port uint16
	data []byte
}

// parseFrame reads a message that is not empty; tests/vectors/agent.json has such.
func parseFrame(message []byte) (frame, error) {
	kind, rest := message[0], message[1:]
	switch {
	case kind == frameResume && len(rest) > 8:
		return frame{kind: kind, time: binary.BigEndian.Uint64(rest), data: rest[8:]}, nil
	case (kind == frameMore || kind == frameRequest) && len(rest) >= 2:
		return frame{kind: kind, port: binary.BigEndian.Uint16(rest), data: rest[2:]}, nil
	case kind == frameAgent:
		return frame{kind: kind, data: rest}, nil
	}
	return frame{}, fmt.Errorf("unknown message %d of %d bytes", kind, len(message))
}

// forward gives a request to the app and its answer, up to where it closes, to the host.
func (c *cmio) forward(port uint16, request []byte) error {
	connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), requestTimeout)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(requestTimeout))
	if _, err := connection.Write(request); err != nil {
		return err
	}
	buffer := make([]byte, len(c.tx))
	for {
		n, err := connection.Read(buffer)
		if err := c.report(buffer[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
