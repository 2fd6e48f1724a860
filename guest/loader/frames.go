package main

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Frames of the port for connections to the app: docs/guest.md, connections. This is the host's
// end, as vcr/engines/qemu/relay.py is outside of an enclave; guest/agent/relay.go has the other.
const (
	frameHead  = 7
	maxContent = 32<<10 - frameHead
	window     = 64 << 10 // bytes of a stream that the machine may send ahead
	wordBytes  = 16
	helloBytes = wordBytes + 8
)

// What a frame is.
const (
	frameHello  = iota // of the machine: an agent begins
	frameOpen          // of this end: the port of the app, 2 bytes
	frameData          // of either end, as the next three
	frameEnd           // nothing follows in this direction
	frameReset         // the stream is over
	frameCredit        // so many bytes were taken: 4 bytes
	frameSender        // of this end, which sends none: no datagram reaches an enclave
	framePart          // of a datagram
	frameDatagram
)

// frame is one of either end.
type frame struct {
	stream  uint32
	kind    byte
	content []byte
}

// hello is what a session begins with.
type hello struct {
	word    []byte // the first that the machine is to get
	streams int    // that may be open at a time
	window  int    // bytes of each that it takes ahead
}

// readFrame reads what the machine sends; the content is valid until the next one.
func readFrame(from io.Reader, space []byte) (frame, error) {
	head := space[:frameHead]
	if _, err := io.ReadFull(from, head); err != nil {
		return frame{}, err
	}
	f := frame{stream: binary.BigEndian.Uint32(head), kind: head[4]}
	length := int(binary.BigEndian.Uint16(head[5:]))
	if !isLength(f.kind, length) {
		return frame{}, fmt.Errorf("a frame %d of %d bytes", f.kind, length)
	}
	f.content = space[frameHead : frameHead+length]
	_, err := io.ReadFull(from, f.content)
	return f, err
}

// isLength says whether a frame of the machine may be so long.
func isLength(kind byte, length int) bool {
	switch kind {
	case frameHello:
		return length == helloBytes
	case frameData, framePart, frameDatagram:
		return length <= maxContent
	case frameEnd, frameReset:
		return length == 0
	case frameCredit:
		return length == 4
	}
	return false
}

func (f frame) encode() []byte {
	data := make([]byte, frameHead, frameHead+len(f.content))
	binary.BigEndian.PutUint32(data, f.stream)
	data[4] = f.kind
	binary.BigEndian.PutUint16(data[5:], uint16(len(f.content)))
	return append(data, f.content...)
}

// readHello refuses bounds with which nothing could be carried.
func readHello(content []byte) (hello, error) {
	if len(content) != helloBytes {
		return hello{}, fmt.Errorf("hello of %d bytes", len(content))
	}
	streams := binary.BigEndian.Uint32(content[wordBytes:])
	most := binary.BigEndian.Uint32(content[wordBytes+4:])
	if streams < 1 || most < 1 || most > window {
		return hello{}, fmt.Errorf("%d streams of %d bytes", streams, most)
	}
	word := append([]byte(nil), content[:wordBytes]...)
	return hello{word, int(streams), int(most)}, nil
}

func number32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
