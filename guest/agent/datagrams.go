package main

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// Datagrams of UDP come as streams, too: one for each sender that the host sees, which has a
// socket of its own here. Neither end keeps any: what cannot be passed on at once is dropped.
const (
	mostDatagram = 65507 // 65,535 without the heads of IPv4 and UDP
	// Datagrams of the app that are read at a time: the port takes one after the other.
	mostRead = 2
)

// parts puts the datagrams of the host together again.
type parts struct {
	stream  uint32
	isOpen  bool // a part of one has come
	content []byte
}

// take returns the datagram that f ends, which is valid until the next one, nil when it ends none.
func (p *parts) take(f relayFrame) ([]byte, error) {
	isPiece := f.kind == relayPart || f.kind == relayDatagram
	if p.isOpen && (!isPiece || f.stream != p.stream) {
		return nil, fmt.Errorf("a frame %d within a datagram of %d", f.kind, p.stream)
	}
	if !isPiece || f.kind == relayDatagram && !p.isOpen {
		return f.content, nil
	}
	if !p.isOpen {
		p.content = p.content[:0]
	}
	if len(p.content)+len(f.content) > mostDatagram {
		return nil, fmt.Errorf("a datagram of more than %d bytes", mostDatagram)
	}
	p.stream, p.isOpen = f.stream, f.kind == relayPart
	p.content = append(p.content, f.content...)
	return p.content, nil
}

// sender is one whose datagrams go to the app.
type sender struct {
	relay  *relay
	id     uint32
	app    *net.UDPConn
	raw    syscall.RawConn
	mutex  sync.Mutex
	isOver bool
}

// newSender has a socket for the datagrams of a stream to a port of the app.
func newSender(r *relay, id uint32, port uint16) (*sender, error) {
	app, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.ParseIP(r.app.address), Port: int(port)})
	if err != nil {
		return nil, err
	}
	raw, err := app.SyscallConn()
	if err != nil {
		app.Close()
		return nil, err
	}
	return &sender{relay: r, id: id, app: app, raw: raw}, nil
}

// give passes a datagram to the app; it returns at once. That nobody has taken one before is said
// instead of sending this one: udp(7).
func (s *sender) give(content []byte) {
	_ = s.raw.Write(func(fd uintptr) bool {
		for range 2 {
			_, err := syscall.SendmsgN(int(fd), content, nil, nil, syscall.MSG_DONTWAIT)
			if err != syscall.ECONNREFUSED {
				break
			}
		}
		return true
	})
}

// run sends what the app answers, until the host has enough.
func (s *sender) run() {
	defer s.relay.forget(s.id)
	for {
		err := awaitData(s.raw)
		if err == nil {
			err = s.answer()
		}
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
	}
	if !s.end() {
		_ = s.relay.send(s.id, relayReset, nil)
	}
}

// answer sends a datagram of the app, which is there.
func (s *sender) answer() error {
	space := <-s.relay.answers
	defer func() { s.relay.answers <- space }()
	n, err := s.app.Read(space)
	if err != nil {
		return err
	}
	return s.relay.sendDatagram(s.id, space[:n])
}

// end closes its socket, and returns whether it was ended before.
func (s *sender) end() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	wasOver := s.isOver
	s.isOver = true
	s.app.Close()
	return wasOver
}

// openSender begins a stream of datagrams.
func (r *relay) openSender(id uint32, port uint16) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.isOpen(id) {
		return fmt.Errorf("stream %d is open already", id)
	}
	if r.hasRoom() {
		if s, err := newSender(r, id, port); err == nil {
			r.senders[id] = s
			go s.run()
			return nil
		}
	}
	go r.send(id, relayReset, nil) // reading never waits for writing
	return nil
}

// sendDatagram sends the frames of one, without another frame between.
func (r *relay) sendDatagram(id uint32, content []byte) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	for len(content) > maxContent {
		if err := r.write(id, relayPart, content[:maxContent]); err != nil {
			return err
		}
		content = content[maxContent:]
	}
	return r.write(id, relayDatagram, content)
}
