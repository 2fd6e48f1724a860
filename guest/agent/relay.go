package main

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// Connections to the app come through one port, as streams; vcr/engines/streams.py has the
// other end. The host accepts them at once, whatever the app does, and this machine connects to
// the app: its own kernel asks again where the app's backlog is full.
//
// A frame is a stream's number (4 bytes), what it is (1), the length of the rest (2), the rest;
// numbers are big-endian. The first frame of this end is hello with a word of 16 bytes, how many
// streams may be open (4) and the window of each (4); the host's first bytes are that word: what
// comes before was for an agent that has ended. The host may send so many bytes of a stream that
// this end has not taken, and this end hostWindow.
//
// Streams of datagrams are in datagrams.go.
const (
	relayPort   = "vcr.relay"
	frameHead   = 7
	maxContent  = 32<<10 - frameHead // a frame is written in one go
	hostWindow  = 64 << 10
	toConnect   = 2 * time.Minute
	tryPause    = 5 * time.Millisecond // where the app's backlog is full
	wordBytes   = 16
	helloBytes  = wordBytes + 8
	streamPiece = 16 << 10
)

// What a frame is.
const (
	relayHello = iota
	relayOpen  // 2 bytes: the port of the app
	relayData
	relayEnd    // nothing follows in this direction
	relayReset  // the stream is over
	relayCredit // 4 bytes: so much was taken
	relaySender // 2 bytes: the port of the app, for datagrams
	relayPart   // of a datagram, which the next frame continues
	relayDatagram
)

// relayFrame is one of either end.
type relayFrame struct {
	stream  uint32
	kind    byte
	content []byte
}

// readFrame reads what the host sends; the content is valid until the next one.
func readFrame(from io.Reader, space []byte) (relayFrame, error) {
	head := space[:frameHead]
	if _, err := io.ReadFull(from, head); err != nil {
		return relayFrame{}, err
	}
	f := relayFrame{stream: binary.BigEndian.Uint32(head), kind: head[4]}
	length := int(binary.BigEndian.Uint16(head[5:]))
	if !isLength(f.kind, length) {
		return relayFrame{}, fmt.Errorf("a frame %d of %d bytes", f.kind, length)
	}
	f.content = space[frameHead : frameHead+length]
	_, err := io.ReadFull(from, f.content)
	return f, err
}

// isLength says whether a frame of the host may be so long.
func isLength(kind byte, length int) bool {
	switch kind {
	case relayData, relayPart, relayDatagram:
		return length <= maxContent
	case relayOpen, relaySender:
		return length == 2
	case relayEnd, relayReset:
		return length == 0
	case relayCredit:
		return length == 4
	}
	return false
}

// relay is one session with the host.
type relay struct {
	app     *dialer
	bounds  bounds
	pieces  chan []byte // for what the app says
	answers chan []byte // for datagrams of the app
	parts   parts
	writing sync.Mutex
	frame   []byte // what is written
	port    io.Writer
	mutex   sync.Mutex // of streams and senders
	streams map[uint32]*stream
	senders map[uint32]*sender
}

func newRelay(app *dialer, port io.Writer, most bounds) *relay {
	r := &relay{app: app, bounds: most, port: port}
	r.streams, r.senders = map[uint32]*stream{}, map[uint32]*sender{}
	r.pieces = make(chan []byte, mostPieces)
	for range mostPieces {
		r.pieces <- make([]byte, streamPiece)
	}
	r.answers = make(chan []byte, mostRead)
	for range mostRead {
		r.answers <- make([]byte, mostDatagram)
	}
	return r
}

// startRelay is for when this machine has a network: a port can be opened once.
var startRelay sync.Once

// serveRelay answers the host for as long as there is one.
func serveRelay() {
	device, err := portDevice(relayPort)
	if err != nil {
		return // nobody connects to this machine
	}
	// Without O_NONBLOCK each read and write takes a thread: on one CPU, the others wait for it.
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		say("connections: %v", err)
		return
	}
	port := os.NewFile(uintptr(fd), device)
	for app := newDialer(ownAddress()); ; {
		r := newRelay(app, port, ownBounds())
		if err := r.session(port); err != nil && !errors.Is(err, io.EOF) {
			say("connections: %v", err)
		}
		r.endAll()
		time.Sleep(idle) // a read ends at once while nobody is connected
	}
}

// session carries frames out until the host goes or sends what is none.
func (r *relay) session(from io.Reader) error {
	word := make([]byte, wordBytes, helloBytes)
	if _, err := rand.Read(word); err != nil {
		return err
	}
	hello := binary.BigEndian.AppendUint32(word, uint32(r.bounds.streams))
	hello = binary.BigEndian.AppendUint32(hello, uint32(r.bounds.window))
	if err := r.send(0, relayHello, hello); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(from, hostWindow)
	if err := skipTo(lines, word); err != nil {
		return err
	}
	for space := make([]byte, frameHead+maxContent); ; {
		f, err := readFrame(lines, space)
		if err != nil {
			return err
		}
		if err := r.take(f); err != nil {
			return err
		}
	}
}

// skipTo reads up to the end of a word.
func skipTo(from io.ByteReader, word []byte) error {
	last := make([]byte, 0, len(word))
	for string(last) != string(word) {
		next, err := from.ReadByte()
		if err != nil {
			return err
		}
		if len(last) == len(word) {
			last = append(last[:0], last[1:]...)
		}
		last = append(last, next)
	}
	return nil
}

func (r *relay) take(f relayFrame) error {
	content, err := r.parts.take(f)
	if err != nil || r.parts.isOpen {
		return err
	}
	id := f.stream
	switch f.kind {
	case relayOpen:
		return r.open(id, binary.BigEndian.Uint16(content))
	case relaySender:
		return r.openSender(id, binary.BigEndian.Uint16(content))
	}
	r.mutex.Lock()
	s, one := r.streams[id], r.senders[id]
	r.mutex.Unlock()
	switch {
	case one != nil && f.kind == relayDatagram:
		one.give(content)
	case one != nil && f.kind == relayReset:
		one.end()
	case s == nil: // it has ended here
	case f.kind == relayData:
		return s.add(content)
	case f.kind == relayEnd:
		s.end()
	case f.kind == relayReset:
		s.abort()
	case f.kind == relayCredit:
		s.allow(int(binary.BigEndian.Uint32(content)))
	}
	return nil
}

// open begins a stream to a port of the app.
func (r *relay) open(id uint32, port uint16) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.isOpen(id) {
		return fmt.Errorf("stream %d is open already", id)
	}
	if !r.hasRoom() {
		go r.send(id, relayReset, nil) // reading never waits for writing
		return nil
	}
	s := newStream(r, id)
	r.streams[id] = s
	go s.run(port)
	return nil
}

func (r *relay) isOpen(id uint32) bool { return r.streams[id] != nil || r.senders[id] != nil }

func (r *relay) hasRoom() bool { return len(r.streams)+len(r.senders) < 2*r.bounds.streams }

func (r *relay) send(stream uint32, kind byte, content []byte) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.write(stream, kind, content)
}

// sendEnd says that nothing follows in a stream, and before that how much was taken of it.
func (r *relay) sendEnd(stream uint32, taken int) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.frame = r.frame[:0]
	if taken > 0 {
		r.add(stream, relayCredit, binary.BigEndian.AppendUint32(nil, uint32(taken)))
	}
	r.add(stream, relayEnd, nil)
	_, err := r.port.Write(r.frame)
	return err
}

// write sends a frame, of whoever may write.
func (r *relay) write(stream uint32, kind byte, content []byte) error {
	r.frame = r.frame[:0]
	r.add(stream, kind, content)
	_, err := r.port.Write(r.frame)
	return err
}

// add puts a frame behind those that are to be written.
func (r *relay) add(stream uint32, kind byte, content []byte) {
	r.frame = binary.BigEndian.AppendUint32(r.frame, stream)
	r.frame = append(r.frame, kind)
	r.frame = binary.BigEndian.AppendUint16(r.frame, uint16(len(content)))
	r.frame = append(r.frame, content...)
}

func (r *relay) forget(stream uint32) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.streams, stream)
	delete(r.senders, stream)
}

func (r *relay) endAll() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, s := range r.streams {
		go s.abort()
	}
	for _, s := range r.senders {
		s.end()
	}
}
