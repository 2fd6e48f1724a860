package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// stream is one connection to the app.
type stream struct {
	relay    *relay
	id       uint32
	mutex    sync.Mutex
	change   *sync.Cond
	data     []byte // of the host, not written to the app yet
	isEnded  bool   // no more of that comes
	allowed  int    // bytes that the host takes
	isOver   bool   // it was reset
	taken    int    // bytes of the host that it does not know of
	isTold   bool   // it knows of what was taken until the app's end
	app      *net.TCPConn
	openEnds sync.WaitGroup
}

// The host hears when so much of its window was taken.
const creditPart = 4

var errOver = errors.New("the stream is over")

func newStream(r *relay, id uint32) *stream {
	s := &stream{relay: r, id: id, allowed: hostWindow}
	s.change = sync.NewCond(&s.mutex)
	return s
}

// run connects to the app and copies both ways until both have ended, or the stream was reset.
func (s *stream) run(port uint16) {
	defer s.relay.forget(s.id)
	app, err := s.relay.app.dial(port, s.hasEnded)
	if err != nil {
		_ = s.relay.send(s.id, relayReset, nil)
		return
	}
	defer app.Close()
	s.mutex.Lock()
	s.app = app
	isOver := s.isOver
	s.mutex.Unlock()
	if isOver {
		_ = app.SetLinger(0)
		return
	}
	s.openEnds.Add(1)
	go func() {
		defer s.openEnds.Done()
		s.fail(s.toApp())
	}()
	s.fail(s.fromApp())
	s.openEnds.Wait()
}

// toApp writes what comes from the host, and its end.
func (s *stream) toApp() error {
	for {
		piece, err := s.next()
		if errors.Is(err, io.EOF) {
			return s.app.CloseWrite()
		}
		if err != nil {
			return err
		}
		if _, err := s.app.Write(piece); err != nil {
			return err
		}
		if taken := s.take(len(piece)); taken > 0 {
			credit := binary.BigEndian.AppendUint32(nil, uint32(taken))
			if err := s.relay.send(s.id, relayCredit, credit); err != nil {
				return err
			}
		}
	}
}

// take counts bytes that the app has taken, and returns how many the host is to be told of: not
// each few, until the end of what the app says, which tells the rest.
func (s *stream) take(n int) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.taken += n
	if s.taken < s.relay.bounds.window/creditPart && !s.isTold {
		return 0
	}
	return s.untold()
}

// untold returns the bytes that were taken and that the host does not know of yet.
func (s *stream) untold() int {
	n := s.taken
	s.taken = 0
	return n
}

// lastWords says that the app says no more.
func (s *stream) lastWords() error {
	s.mutex.Lock()
	s.isTold = true
	taken := s.untold()
	s.mutex.Unlock()
	return s.relay.sendEnd(s.id, taken)
}

// fromApp sends what the app says, and its end.
func (s *stream) fromApp() error {
	raw, err := s.app.SyscallConn()
	if err != nil {
		return err
	}
	for {
		most, err := s.mayRead()
		if err != nil {
			return err
		}
		if err := awaitData(raw); err != nil {
			return err
		}
		err = s.sendPiece(most)
		if errors.Is(err, io.EOF) {
			return s.lastWords()
		}
		if err != nil {
			return err
		}
	}
}

// sendPiece sends up to most bytes of what the app says, which are there.
func (s *stream) sendPiece(most int) error {
	piece := <-s.relay.pieces
	defer func() { s.relay.pieces <- piece }()
	n, err := s.app.Read(piece[:min(most, len(piece))])
	if n > 0 {
		s.allow(-n)
		if err := s.relay.send(s.id, relayData, piece[:n]); err != nil {
			return err
		}
	}
	return err
}

// awaitData returns when there is something to read, or an end: meanwhile no memory is held.
func awaitData(raw syscall.RawConn) error {
	var failed error
	peek := make([]byte, 1)
	err := raw.Read(func(fd uintptr) bool {
		_, _, failed = syscall.Recvfrom(int(fd), peek, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return failed != syscall.EAGAIN && failed != syscall.EINTR
	})
	if err != nil {
		return err
	}
	return failed
}

// fail ends the stream at both ends, if there is an error.
func (s *stream) fail(err error) {
	if err == nil {
		return
	}
	wasOver := s.hasEnded()
	s.abort()
	if !wasOver {
		_ = s.relay.send(s.id, relayReset, nil)
	}
}

// add takes data of the host; it returns at once.
func (s *stream) add(data []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.data)+len(data) > s.relay.bounds.window {
		return fmt.Errorf("stream %d sends more than it may", s.id)
	}
	s.data = append(s.data, data...)
	s.change.Broadcast()
	return nil
}

func (s *stream) hasEnded() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.isOver
}

func (s *stream) end() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.isEnded = true
	s.change.Broadcast()
}

func (s *stream) allow(n int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.allowed = min(s.allowed+n, hostWindow)
	s.change.Broadcast()
}

// abort closes the connection to the app as one that was reset.
func (s *stream) abort() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.isOver = true
	s.change.Broadcast()
	if s.app != nil {
		_ = s.app.SetLinger(0)
		s.app.Close()
	}
}

// next waits for data of the host and takes all that is there; io.EOF at its end.
func (s *stream) next() ([]byte, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for len(s.data) == 0 && !s.isEnded && !s.isOver {
		s.change.Wait()
	}
	switch {
	case s.isOver:
		return nil, errOver
	case len(s.data) == 0:
		return nil, io.EOF
	}
	piece := s.data
	s.data = nil
	return piece, nil
}

// mayRead waits until the host takes more, and returns how much.
func (s *stream) mayRead() (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for s.allowed <= 0 && !s.isOver {
		s.change.Wait()
	}
	if s.isOver {
		return 0, errOver
	}
	return s.allowed, nil
}
