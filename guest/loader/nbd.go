package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The NBD protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
const (
	nbdMagic         = 0x4e42444d41474943 // "NBDMAGIC"
	nbdOptionMagic   = 0x49484156454f5054 // "IHAVEOPT"
	nbdReplyMagic    = 0x3e889045565a9
	nbdFixedNewstyle = 1
	nbdNoZeroes      = 2
	nbdOptGo         = 7
	nbdReplyAck      = 1
	nbdReplyInfo     = 3
	nbdReplyError    = 1 << 31
	nbdInfoExport    = 0
	nbdMaxReply      = 4096
	nbdMaxReplies    = 64
)

// Requests of the kernel's device: linux/nbd.h.
const (
	nbdDevice        = "/dev/nbd0"
	nbdSizeFile      = "/sys/block/nbd0/size" // in sectors
	nbdSetSock       = 0xab00
	nbdSetBlockSize  = 0xab01
	nbdDoIt          = 0xab03
	nbdClearSock     = 0xab04
	nbdSetSizeBlocks = 0xab07
	nbdSetTimeout    = 0xab09
	nbdSetFlags      = 0xab0a
	nbdHasFlags      = 1
	nbdReadOnly      = 2
	nbdSeconds       = 30
)

// attachDrive makes the parent's export a block device and returns its name.
func attachDrive(port uint32) (string, error) {
	parent, err := dial(port)
	if err != nil {
		return "", err
	}
	// A parent that says nothing, or without end, gets no enclave that waits for it.
	_ = parent.SetDeadline(time.Now().Add(nbdSeconds * time.Second))
	size, err := negotiate(parent)
	if err != nil {
		return "", err
	}
	_ = parent.SetDeadline(time.Time{})
	// The kernel takes no vsock socket for this; what comes through is copied to one it takes.
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	ours, err := pollable(pair[0], "nbd")
	if err != nil {
		return "", err
	}
	for _, way := range [][2]*os.File{{ours, parent}, {parent, ours}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			// Without the parent, every read of the drive fails.
			ours.Close()
			parent.Close()
		}()
	}
	return nbdDevice, configure(pair[1], size)
}

// configure gives the kernel the socket, and the size in bytes, of its device.
func configure(socket int, size uint64) error {
	device, err := os.OpenFile(nbdDevice, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for _, step := range []struct{ request, argument uintptr }{
		{nbdSetBlockSize, blockSize},
		{nbdSetSizeBlocks, uintptr(size / blockSize)},
		{nbdClearSock, 0},
		{nbdSetFlags, nbdHasFlags | nbdReadOnly},
		{nbdSetTimeout, nbdSeconds},
		{nbdSetSock, uintptr(socket)},
	} {
		if err := ioctl(device, step.request, step.argument); err != nil {
			device.Close()
			return fmt.Errorf("request %#x of %s: %w", step.request, nbdDevice, err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		defer device.Close()
		ended <- ioctl(device, nbdDoIt, 0) // serves until the connection ends
	}()
	// The device has its size once it serves, and not before.
	want := strconv.FormatUint(size/sectorSize, 10)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause / 10) {
		got, err := os.ReadFile(nbdSizeFile)
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(got)) == want {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the connection ended: %v", err)
		default:
		}
	}
	return fmt.Errorf("%s does not come up", nbdDevice)
}

// negotiate asks for the default export and returns its size in bytes.
func negotiate(server io.ReadWriter) (uint64, error) {
	var greeting struct {
		Magic, Option uint64
		Flags         uint16
	}
	if err := binary.Read(server, binary.BigEndian, &greeting); err != nil {
		return 0, fmt.Errorf("no greeting: %w", err)
	}
	if greeting.Magic != nbdMagic || greeting.Option != nbdOptionMagic || greeting.Flags&nbdFixedNewstyle == 0 {
		return 0, errors.New("the server does not speak NBD")
	}
	flags := uint32(greeting.Flags & (nbdFixedNewstyle | nbdNoZeroes))
	request := binary.BigEndian.AppendUint32(nil, flags)
	request = binary.BigEndian.AppendUint64(request, nbdOptionMagic)
	request = binary.BigEndian.AppendUint32(request, nbdOptGo)
	// The data: an empty name, and no request for information.
	request = binary.BigEndian.AppendUint32(request, 6)
	request = append(request, make([]byte, 6)...)
	if _, err := server.Write(request); err != nil {
		return 0, err
	}
	return exportSize(server)
}

func exportSize(server io.Reader) (uint64, error) {
	size := uint64(0)
	for range nbdMaxReplies {
		var reply struct {
			Magic                uint64
			Option, Kind, Length uint32
		}
		if err := binary.Read(server, binary.BigEndian, &reply); err != nil {
			return 0, err
		}
		if reply.Magic != nbdReplyMagic || reply.Option != nbdOptGo || reply.Length > nbdMaxReply {
			return 0, errors.New("the server's answer is not NBD")
		}
		data := make([]byte, reply.Length)
		if _, err := io.ReadFull(server, data); err != nil {
			return 0, err
		}
		switch {
		case reply.Kind == nbdReplyAck:
			if size == 0 || size%blockSize != 0 {
				return 0, fmt.Errorf("an export of %d bytes", size)
			}
			return size, nil
		case reply.Kind&nbdReplyError != 0:
			return 0, fmt.Errorf("the server refuses with error %#x: %s", reply.Kind, data)
		case reply.Kind == nbdReplyInfo && len(data) >= 12 && binary.BigEndian.Uint16(data) == nbdInfoExport:
			size = binary.BigEndian.Uint64(data[2:])
		}
	}
	return 0, errors.New("the server's answer has no end")
}
