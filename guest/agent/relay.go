package main

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
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
	lengths := map[byte]int{relayOpen: 2, relayEnd: 0, relayReset: 0, relayCredit: 4}
	wanted, isFixed := lengths[f.kind]
	if length > maxContent || isFixed && length != wanted || !isFixed && f.kind != relayData {
		return relayFrame{}, fmt.Errorf("a frame %d of %d bytes", f.kind, length)
	}
	f.content = space[frameHead : frameHead+length]
	_, err := io.ReadFull(from, f.content)
	return f, err
}

// relay is one session with the host.
type relay struct {
	app     *dialer
	bounds  bounds
	pieces  chan []byte // for what the app says
	writing sync.Mutex
	port    io.Writer
	mutex   sync.Mutex // of streams
	streams map[uint32]*stream
}

func newRelay(app *dialer, port io.Writer, most bounds) *relay {
	r := &relay{app: app, bounds: most, port: port, streams: map[uint32]*stream{}}
	r.pieces = make(chan []byte, mostPieces)
	for range mostPieces {
		r.pieces <- make([]byte, streamPiece)
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
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
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

// dialer connects to the app, for each of its ports one stream after the other.
type dialer struct {
	address string
	mutex   sync.Mutex
	turns   map[uint16]chan struct{}
}

// newDialer connects to the address that the network leads to: who listens on the loopback only
// is not reached from outside.
func newDialer(address string) *dialer {
	return &dialer{address: address, turns: map[uint16]chan struct{}{}}
}

func (d *dialer) turn(port uint16) chan struct{} {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.turns[port] == nil {
		d.turns[port] = make(chan struct{}, 1)
	}
	return d.turns[port]
}

// dial tries until there is a place in the app's backlog. The kernel alone would ask again after
// one second, then two, then four, each time for all that wait.
func (d *dialer) dial(port uint16, isOver func() bool) (*net.TCPConn, error) {
	turn := d.turn(port)
	for end := time.Now().Add(toConnect); time.Now().Before(end) && !isOver(); {
		turn <- struct{}{}
		fd, err := connect(d.address, port)
		if err == syscall.EINPROGRESS {
			time.Sleep(tryPause)
		}
		<-turn
		switch err {
		case nil:
			return tcpOf(fd)
		case syscall.EINPROGRESS:
		default:
			return nil, err
		}
	}
	return nil, syscall.ETIMEDOUT
}

// connect asks once; EINPROGRESS if nobody answers at once, as the own kernel does otherwise.
func connect(address string, port uint16) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	to := &syscall.SockaddrInet4{Port: int(port), Addr: [4]byte(net.ParseIP(address).To4())}
	err = syscall.Connect(fd, to)
	for tries := 0; err == syscall.EINPROGRESS && tries < 3; tries++ {
		if code, _ := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR); code != 0 {
			err = syscall.Errno(code)
		} else if _, unknown := syscall.Getpeername(fd); unknown == nil {
			err = nil
		} else {
			time.Sleep(time.Millisecond)
		}
	}
	if err != nil {
		syscall.Close(fd)
	}
	return fd, err
}

func tcpOf(fd int) (*net.TCPConn, error) {
	file := os.NewFile(uintptr(fd), "app")
	defer file.Close()
	connection, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return connection.(*net.TCPConn), nil
}

// ownAddress is that of the kernel's command line.
func ownAddress() string {
	line, _ := os.ReadFile("/proc/cmdline")
	for _, word := range strings.Fields(string(line)) {
		if value, ok := strings.CutPrefix(word, "vcr.ip="); ok {
			address, _, _ := strings.Cut(value, "/")
			return address
		}
	}
	return "127.0.0.1"
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
	r.mutex.Lock()
	s, isThere := r.streams[f.stream]
	if f.kind == relayOpen && !isThere && len(r.streams) < 2*r.bounds.streams {
		s = newStream(r, f.stream)
		r.streams[f.stream] = s
	}
	r.mutex.Unlock()
	switch {
	case f.kind == relayOpen && isThere:
		return fmt.Errorf("stream %d is open already", f.stream)
	case f.kind == relayOpen && s == nil:
		go r.send(f.stream, relayReset, nil) // reading never waits for writing
	case f.kind == relayOpen:
		go s.run(binary.BigEndian.Uint16(f.content))
	case s == nil: // it has ended here
	case f.kind == relayData:
		return s.add(f.content)
	case f.kind == relayEnd:
		s.end()
	case f.kind == relayReset:
		s.abort()
	case f.kind == relayCredit:
		s.allow(int(binary.BigEndian.Uint32(f.content)))
	}
	return nil
}

func (r *relay) send(stream uint32, kind byte, content []byte) error {
	frame := make([]byte, frameHead, frameHead+len(content))
	binary.BigEndian.PutUint32(frame, stream)
	frame[4] = kind
	binary.BigEndian.PutUint16(frame[5:], uint16(len(content)))
	r.writing.Lock()
	defer r.writing.Unlock()
	_, err := r.port.Write(append(frame, content...))
	return err
}

func (r *relay) forget(stream uint32) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.streams, stream)
}

func (r *relay) endAll() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, s := range r.streams {
		go s.abort()
	}
}
