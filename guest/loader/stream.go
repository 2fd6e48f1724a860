package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

const pieceBytes = 16 << 10

// stream is one connection of the parent.
type stream struct {
	session    *session
	id         uint32
	parent     *os.File
	mutex      sync.Mutex
	change     *sync.Cond
	data       []byte // of the app, that the parent has not taken
	waits      int    // bytes that were not taken, those that are being written, too
	allowed    int    // bytes that the machine takes
	isAnswered bool   // the app has sent something
	isEnded    bool   // no more of that comes
	isOver     bool
}

func newStream(now *session, id uint32, parent *os.File) *stream {
	s := &stream{session: now, id: id, parent: parent, allowed: now.window}
	s.change = sync.NewCond(&s.mutex)
	return s
}

// run carries both ways until both have ended and the machine has taken all, or it is broken off.
func (s *stream) run(port uint16) {
	s.fail(s.session.send(s.id, frameOpen, binary.BigEndian.AppendUint16(nil, port)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.fail(s.toParent())
	}()
	s.fail(s.fromParent())
	<-done
	// What the machine has not taken, it still holds: it has to have room for another one.
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for s.allowed < s.session.window && !s.isOver {
		s.change.Wait()
	}
}

// fromParent sends what the parent says, and its end.
func (s *stream) fromParent() error {
	for piece := make([]byte, min(pieceBytes, s.session.window)); ; {
		most, err := s.mayRead()
		if err != nil {
			return err
		}
		n, err := s.parent.Read(piece[:min(most, len(piece))])
		if n > 0 {
			s.allow(-n)
			if err := s.session.send(s.id, frameData, piece[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return s.session.send(s.id, frameEnd, nil)
		}
		if err != nil {
			return err
		}
	}
}

// toParent writes what the app says, and its end.
func (s *stream) toParent() error {
	for {
		piece, err := s.next()
		if errors.Is(err, io.EOF) {
			endWrites(s.parent)
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := s.parent.Write(piece); err != nil {
			return err
		}
		s.taken(len(piece))
		if err := s.session.send(s.id, frameCredit, number32(len(piece))); err != nil {
			return err
		}
	}
}

// fail ends the stream at both ends, if there is an error.
func (s *stream) fail(err error) {
	if err != nil && s.abort() {
		_ = s.session.send(s.id, frameReset, nil)
	}
}

// abort breaks it off, and returns whether it was not over before.
func (s *stream) abort() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	wasOver := s.isOver
	s.isOver = true
	s.change.Broadcast()
	s.parent.Close()
	return !wasOver
}

// reset is that of the machine: what the parent got is not all, unless it got nothing.
func (s *stream) reset() {
	s.mutex.Lock()
	if !s.isAnswered && !s.isOver {
		endWrites(s.parent)
	}
	s.mutex.Unlock()
	s.abort()
}

// add takes data of the app; it returns at once.
func (s *stream) add(data []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.isEnded || s.waits+len(data) > window {
		return fmt.Errorf("stream %d sends more than it may", s.id)
	}
	if s.isOver {
		return nil
	}
	s.isAnswered = true
	s.waits += len(data)
	s.data = append(s.data, data...)
	s.change.Broadcast()
	return nil
}

// taken is for bytes that the parent has, before the machine is told.
func (s *stream) taken(n int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.waits -= n
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
	s.allowed = min(s.allowed+n, s.session.window)
	s.change.Broadcast()
}

// next waits for data of the app and takes all that is there; io.EOF at its end.
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

// mayRead waits until the machine takes more, and returns how much.
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
