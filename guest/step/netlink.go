package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// Generic netlink: https://docs.kernel.org/userspace-api/netlink/intro.html,
// linux/genetlink.h, linux/nbd-netlink.h.
const (
	netlinkGeneric = 16
	genlController = 0x10
	genlGetFamily  = 3
	genlID         = 1
	genlName       = 2
	genlHeaderSize = 4

	nbdConnect       = 1
	nbdIndex         = 1
	nbdSizeBytes     = 2
	nbdBlockBytes    = 3
	nbdServerFlags   = 5
	nbdSockets       = 7
	nbdSocketItem    = 1
	nbdSocketFd      = 1
	attributeNested  = 0x8000
	attributeHeader  = 4
	netlinkReplySize = 8 << 10
)

// connectNBD makes a block device of a size that reads through a socket, and returns its number.
func connectNBD(socket int, size int64) (uint32, error) {
	netlink, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkGeneric)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(netlink)
	family, err := ask(netlink, genlController, genlGetFamily, attribute(genlName, []byte("nbd\x00")), genlID)
	if err != nil {
		return 0, err
	}
	item := attribute(nbdSocketItem|attributeNested, attribute(nbdSocketFd, number32(uint32(socket))))
	var attributes []byte
	attributes = append(attributes, attribute(nbdSizeBytes, number64(uint64(size)))...)
	attributes = append(attributes, attribute(nbdBlockBytes, number64(nbdBlock))...)
	attributes = append(attributes, attribute(nbdServerFlags, number64(nbdFlags))...)
	attributes = append(attributes, attribute(nbdSockets|attributeNested, item)...)
	index, err := ask(netlink, binary.NativeEndian.Uint16(family), nbdConnect, attributes, nbdIndex)
	if err != nil {
		return 0, err
	}
	return binary.NativeEndian.Uint32(index), nil
}

// ask sends a command to a family of netlink, and returns one attribute of the answer.
func ask(socket int, family uint16, command byte, attributes []byte, wanted uint16) ([]byte, error) {
	message := make([]byte, syscall.NLMSG_HDRLEN+genlHeaderSize, syscall.NLMSG_HDRLEN+genlHeaderSize+len(attributes))
	message = append(message, attributes...)
	binary.NativeEndian.PutUint32(message, uint32(len(message)))
	binary.NativeEndian.PutUint16(message[4:], family)
	binary.NativeEndian.PutUint16(message[6:], syscall.NLM_F_REQUEST)
	message[syscall.NLMSG_HDRLEN], message[syscall.NLMSG_HDRLEN+1] = command, 1
	if err := syscall.Sendto(socket, message, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, err
	}
	reply := make([]byte, netlinkReplySize)
	n, _, err := syscall.Recvfrom(socket, reply, 0)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseNetlinkMessage(reply[:n])
	if err != nil || len(messages) == 0 {
		return nil, fmt.Errorf("an answer of %d bytes: %w", n, err)
	}
	data := messages[0].Data
	if messages[0].Header.Type == syscall.NLMSG_ERROR && len(data) >= 4 {
		return nil, syscall.Errno(-int32(binary.NativeEndian.Uint32(data)))
	}
	for data = data[min(genlHeaderSize, len(data)):]; len(data) >= attributeHeader; {
		length := int(binary.NativeEndian.Uint16(data))
		if length < attributeHeader || length > len(data) {
			break
		}
		if binary.NativeEndian.Uint16(data[2:]) == wanted {
			return data[attributeHeader:length], nil
		}
		data = data[min(aligned(length), len(data)):]
	}
	return nil, errors.New("the answer lacks what was asked for")
}

func aligned(length int) int { return (length + 3) &^ 3 }

// attribute returns a netlink attribute, padded to four bytes.
func attribute(kind uint16, data []byte) []byte {
	length := attributeHeader + len(data)
	made := make([]byte, aligned(length))
	binary.NativeEndian.PutUint16(made, uint16(length))
	binary.NativeEndian.PutUint16(made[2:], kind)
	copy(made[attributeHeader:], data)
	return made
}

func number32(value uint32) []byte { return binary.NativeEndian.AppendUint32(nil, value) }

func number64(value uint64) []byte { return binary.NativeEndian.AppendUint64(nil, value) }
