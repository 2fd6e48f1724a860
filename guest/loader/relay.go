package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// relay carries connections of the parent to the app, as streams in one port of the machine. The
// agent in it connects to the app. What the machine sends is a stranger's: there may be as many
// streams as maxApps, and of each at most window bytes wait here for the parent.
type relay struct {
	channel io.ReadWriteCloser
	now     atomic.Pointer[session] // nil before the machine's agent begins, and in the end
	ready   chan struct{}           // closed when it begins for the first time
	writing sync.Mutex              // of the channel
}

// session is what one agent of the machine carries.
type session struct {
	relay   *relay
	window  int           // bytes of a stream that the machine takes ahead
	places  chan struct{} // one for each stream
	over    chan struct{} // closed at its end
	mutex   sync.Mutex    // of the two
	streams map[uint32]*stream
	last    uint32
}

var errOver = errors.New("the connection is over")

func newRelay(channel io.ReadWriteCloser) *relay {
	return &relay{channel: channel, ready: make(chan struct{})}
}

// openRelay connects to the machine's port, which its agent opens once the machine goes on.
func (m *machine) openRelay() error {
	channel, err := net.DialTimeout("unix", m.restore.Relay, startTime)
	if err != nil {
		return fmt.Errorf("the port for connections: %w", err)
	}
	m.relay = newRelay(channel)
	go func() { say("the app's ports lead nowhere any more: %v", m.relay.run()) }()
	return nil
}

// await waits until connections are carried.
func (r *relay) await(limit time.Duration) error {
	select {
	case <-r.ready:
		return nil
	case <-time.After(limit):
		return errors.New("the machine takes no connections")
	}
}

// run takes what the machine sends, until its port is gone or it does not keep to the protocol.
// It never waits for the parent, and for the channel only when an agent begins.
func (r *relay) run() error {
	var now *session
	defer func() {
		r.now.Store(nil)
		now.end()
		r.channel.Close()
	}()
	from := bufio.NewReaderSize(r.channel, window)
	for space := make([]byte, frameHead+maxContent); ; {
		f, err := readFrame(from, space)
		if err != nil {
			return err
		}
		switch {
		case f.kind == frameHello:
			now.end()
			now, err = r.begin(f.content)
		case now != nil:
			err = now.take(f)
		}
		if err != nil {
			return err
		}
	}
}

// begin serves an agent that has begun; the streams of one before it are over. It skips what
// comes before its word.
func (r *relay) begin(content []byte) (*session, error) {
	said, err := readHello(content)
	if err != nil {
		return nil, err
	}
	now := &session{
		relay: r, window: said.window,
		places:  make(chan struct{}, min(said.streams, maxApps)),
		over:    make(chan struct{}),
		streams: map[uint32]*stream{},
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	r.now.Store(now)
	if _, err := r.channel.Write(said.word); err != nil {
		return now, err
	}
	select {
	case <-r.ready:
	default:
		close(r.ready)
	}
	return now, nil
}

// carry leads a connection of the parent to a port of the app, until both have ended.
func (r *relay) carry(parent *os.File, port uint16) {
	defer parent.Close()
	now := r.now.Load()
	if now == nil {
		endWrites(parent)
		return
	}
	select {
	case now.places <- struct{}{}:
		defer func() { <-now.places }()
	case <-now.over:
		endWrites(parent)
		return
	}
	s := now.open(parent)
	defer now.forget(s.id)
	s.run(port)
}

func (s *session) open(parent *os.File) *stream {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.last = max(s.last+1, 1)
	made := newStream(s, s.last, parent)
	s.streams[made.id] = made
	return made
}

func (s *session) forget(id uint32) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.streams, id)
}

// end ends all streams; of a session that never began, too.
func (s *session) end() {
	if s == nil {
		return
	}
	close(s.over)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, each := range s.streams {
		each.abort()
	}
}

// take deals with a frame of the machine; it never waits.
func (s *session) take(f frame) error {
	if f.kind == framePart || f.kind == frameDatagram {
		return errors.New("a datagram, where nobody has sent one")
	}
	s.mutex.Lock()
	to := s.streams[f.stream]
	s.mutex.Unlock()
	if to == nil {
		return nil // it has ended here
	}
	switch f.kind {
	case frameData:
		return to.add(f.content)
	case frameEnd:
		to.end()
	case frameReset:
		to.reset()
	case frameCredit:
		to.allow(int(binary.BigEndian.Uint32(f.content)))
	}
	return nil
}

// send is for any stream; the machine reads always, whatever it writes.
func (s *session) send(stream uint32, kind byte, content []byte) error {
	data := frame{stream, kind, content}.encode()
	s.relay.writing.Lock()
	defer s.relay.writing.Unlock()
	if s.relay.now.Load() != s {
		return errOver
	}
	_, err := s.relay.channel.Write(data)
	return err
}
