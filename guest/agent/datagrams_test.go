package main

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"
)

type datagramVector struct {
	Why    string
	Frames [][3]int // stream, kind, length
	Whole  [][2]int // stream, length; nil if they are refused
}

type cutVector struct {
	Size   int
	Frames [][2]int // kind, length
}

func TestDatagramsOfARelayAreThoseOfTheVectors(t *testing.T) {
	for _, c := range relayVectors(t).Datagrams {
		var reader parts
		var found [][2]int
		var got, sent []byte
		var failed error
		for number, each := range c.Frames {
			content := bytes.Repeat([]byte{byte(number)}, each[2])
			f := relayFrame{uint32(each[0]), byte(each[1]), content}
			whole, err := reader.take(f)
			if failed = err; err != nil {
				break
			}
			if f.kind != relayPart && f.kind != relayDatagram {
				continue
			}
			sent = append(sent, content...)
			if !reader.isOpen {
				found = append(found, [2]int{each[0], len(whole)})
				got = append(got, whole...)
			}
		}
		if (failed == nil) != (c.Whole != nil) {
			t.Errorf("%s: %v", c.Why, failed)
		}
		if c.Whole == nil {
			continue
		}
		if len(found) != len(c.Whole) || !bytes.Equal(got, sent) {
			t.Errorf("%s: %v", c.Why, found)
			continue
		}
		for n := range found {
			if found[n] != c.Whole[n] {
				t.Errorf("%s: %v", c.Why, found)
			}
		}
	}
}

func TestDatagramsAreCutAsTheVectorsSay(t *testing.T) {
	for _, c := range relayVectors(t).Cut {
		var sent bytes.Buffer
		r := &relay{port: &sent}
		if err := r.sendDatagram(7, bytes.Repeat([]byte{1}, c.Size)); err != nil {
			t.Fatal(err)
		}
		for _, each := range c.Frames {
			f, err := readFrame(&sent, make([]byte, frameHead+maxContent))
			if err != nil || f.stream != 7 || int(f.kind) != each[0] || len(f.content) != each[1] {
				t.Errorf("%d: %d of %d bytes, %v", c.Size, f.kind, len(f.content), err)
			}
		}
		if sent.Len() != 0 {
			t.Errorf("%d: %d bytes more", c.Size, sent.Len())
		}
	}
}

// appOfDatagrams answers each datagram by who asked, a colon, and what was asked.
func appOfDatagrams(t *testing.T) int {
	t.Helper()
	app, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	go func() {
		for space := make([]byte, 1<<16); ; {
			n, from, err := app.ReadFromUDP(space)
			if err != nil {
				return
			}
			_, _ = app.WriteToUDP(space[:n], from)
		}
	}()
	return app.LocalAddr().(*net.UDPAddr).Port
}

func (h *host) openSender(stream uint32, port int) {
	h.send(stream, relaySender, binary.BigEndian.AppendUint16(nil, uint16(port)))
}

func TestEachDatagramIsAnsweredByItself(t *testing.T) {
	port, h := appOfDatagrams(t), newHost(t)
	h.openSender(1, port)
	h.openSender(2, port)
	for _, text := range []string{"one", "", "three"} {
		for stream := range uint32(2) {
			h.send(stream+1, relayDatagram, []byte(text))
			if f := h.next(); f.stream != stream+1 || f.kind != relayDatagram || string(f.content) != text {
				t.Errorf("%+v", f)
			}
		}
	}
}

func TestTheLargestDatagramComesBackInParts(t *testing.T) {
	port, h := appOfDatagrams(t), newHostOf(t, leastMemory)
	h.openSender(1, port)
	content := make([]byte, mostDatagram)
	for n := range content {
		content[n] = byte(n * 7)
	}
	h.send(1, relayPart, content[:maxContent])
	h.send(1, relayDatagram, content[maxContent:])
	first, second := h.next(), h.next()
	if first.kind != relayPart || second.kind != relayDatagram {
		t.Fatalf("%d, %d", first.kind, second.kind)
	}
	if !bytes.Equal(append(first.content, second.content...), content) {
		t.Error("it is another")
	}
}

func TestNobodyHearsWhatIsSentBeforeTheAppListens(t *testing.T) {
	app, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	address := app.LocalAddr().(*net.UDPAddr)
	app.Close()
	h := newHost(t)
	h.openSender(1, address.Port)
	h.send(1, relayDatagram, []byte("too early"))
	if f, err := h.read(200 * time.Millisecond); err == nil {
		t.Errorf("%+v", f)
	}
	app, err = net.ListenUDP("udp4", address)
	if err != nil {
		t.Skip("another has the port now")
	}
	defer app.Close()
	h.send(1, relayDatagram, []byte("now"))
	space := make([]byte, 100)
	_ = app.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, _, err := app.ReadFromUDP(space); err != nil || string(space[:n]) != "now" {
		t.Errorf("%q, %v", space[:n], err)
	}
}

func TestASenderThatHasEndedLeavesNothing(t *testing.T) {
	port, h := appOfDatagrams(t), newHost(t)
	for stream := range uint32(3 * h.most.streams) { // more than there may be at a time
		h.openSender(stream+1, port)
		h.send(stream+1, relayDatagram, []byte("x"))
		if f := h.next(); f.kind != relayDatagram || f.stream != stream+1 {
			t.Fatalf("%d: %+v", stream, f)
		}
		h.send(stream+1, relayReset, nil)
		h.send(stream+1, relayDatagram, []byte("nobody hears that"))
	}
}

func TestMoreSendersThanThereMayBeAreReset(t *testing.T) {
	port, h := appOfDatagrams(t), newHostOf(t, leastMemory)
	for stream := range uint32(2 * h.most.streams) {
		h.openSender(stream+1, port)
	}
	h.openSender(1<<20, port)
	if f := h.next(); f.kind != relayReset || f.stream != 1<<20 {
		t.Errorf("%+v", f)
	}
}
