package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"maps"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// host is the other end of a relay.
type host struct {
	t    *testing.T
	side net.Conn
	from *bufio.Reader
	most bounds // of the relay
}

func newHost(t *testing.T) *host {
	t.Helper()
	return newHostOf(t, 1<<30)
}

// newHostOf is the host of a machine with so many bytes of memory.
func newHostOf(t *testing.T, memory int) *host {
	t.Helper()
	ours, theirs := net.Pipe()
	r := newRelay(newDialer("127.0.0.1"), theirs, boundsFor(memory))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.session(theirs)
		r.endAll()
		theirs.Close()
	}()
	h := &host{t: t, side: ours, from: bufio.NewReader(ours)}
	hello := h.next()
	if hello.kind != relayHello || len(hello.content) != helloBytes {
		t.Fatalf("not hello: %+v", hello)
	}
	h.most.streams = int(binary.BigEndian.Uint32(hello.content[wordBytes:]))
	h.most.window = int(binary.BigEndian.Uint32(hello.content[wordBytes+4:]))
	t.Cleanup(func() { ours.Close(); <-ended })
	h.write(append([]byte("the rest of another"), hello.content[:wordBytes]...))
	return h
}

func (h *host) write(data []byte) {
	if _, err := h.side.Write(data); err != nil {
		h.t.Error(err)
	}
}

func (h *host) send(stream uint32, kind byte, content []byte) {
	frame := binary.BigEndian.AppendUint32(nil, stream)
	frame = append(frame, kind)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(content)))
	h.write(append(frame, content...))
}

func (h *host) open(stream uint32, port int) {
	h.send(stream, relayOpen, binary.BigEndian.AppendUint16(nil, uint16(port)))
}

func (h *host) next() relayFrame {
	h.t.Helper()
	f, err := h.read(30 * time.Second)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

func (h *host) read(limit time.Duration) (relayFrame, error) {
	_ = h.side.SetReadDeadline(time.Now().Add(limit))
	head := make([]byte, frameHead)
	if _, err := io.ReadFull(h.from, head); err != nil {
		return relayFrame{}, err
	}
	content := make([]byte, binary.BigEndian.Uint16(head[5:]))
	_, err := io.ReadFull(h.from, content)
	return relayFrame{binary.BigEndian.Uint32(head), head[4], content}, err
}

// backlogOfOne listens with a backlog of 1.
func backlogOfOne(t *testing.T) *net.TCPListener {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), 1) }); err != nil {
		t.Fatal(err)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	return listener.(*net.TCPListener)
}

func portOf(listener net.Listener) int {
	return listener.Addr().(*net.TCPAddr).Port
}

func TestAnAppWithABacklogOfOneGetsAllStreams(t *testing.T) {
	const clients = 100
	listener := backlogOfOne(t)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			time.Sleep(time.Millisecond)
			_, _ = client.Write([]byte("hello"))
			client.Close()
		}
	}()
	h := newHost(t)
	begin := time.Now()
	for n := range uint32(clients) {
		h.open(n, portOf(listener))
	}
	said := map[uint32]string{}
	for ends := 0; ends < clients; {
		f := h.next()
		switch f.kind {
		case relayData:
			said[f.stream] += string(f.content)
		case relayEnd:
			ends++
		default:
			t.Fatalf("%+v", f)
		}
	}
	for n := range uint32(clients) {
		if said[n] != "hello" {
			t.Errorf("%d: %q", n, said[n])
		}
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestAPortWithoutAnAppIsReset(t *testing.T) {
	listener := backlogOfOne(t)
	listener.Close()
	h := newHost(t)
	h.open(7, portOf(listener))
	if f := h.next(); f.stream != 7 || f.kind != relayReset {
		t.Errorf("%+v", f)
	}
}

// echoing serves one client, up to its end.
func echoing(t *testing.T, serve func(*net.TCPConn)) int {
	t.Helper()
	return servingWith(t, &net.ListenConfig{}, serve)
}

func servingWith(t *testing.T, config *net.ListenConfig, serve func(*net.TCPConn)) int {
	t.Helper()
	listener, err := config.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(client.(*net.TCPConn))
		}
	}()
	return portOf(listener)
}

func TestMuchArrivesWholeWithinTheWindow(t *testing.T) {
	const size = 3 << 20
	port := echoing(t, func(client *net.TCPConn) { _, _ = io.Copy(client, client); _ = client.CloseWrite() })
	h := newHost(t)
	h.open(1, port)
	var writing sync.WaitGroup
	credits := make(chan int, size)
	credits <- h.most.window
	writing.Add(1)
	sent := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	go func() {
		defer writing.Done()
		for rest, allowed := sent, 0; len(rest) > 0; {
			for allowed == 0 {
				allowed += <-credits
			}
			n := min(len(rest), allowed, maxContent)
			h.send(1, relayData, rest[:n])
			rest, allowed = rest[n:], allowed-n
		}
		h.send(1, relayEnd, nil)
	}()
	var got []byte
	untaken := 0
	for f := h.next(); f.kind != relayEnd; f = h.next() {
		switch f.kind {
		case relayCredit:
			credits <- int(binary.BigEndian.Uint32(f.content))
		case relayData:
			got = append(got, f.content...)
			if untaken += len(f.content); untaken > hostWindow {
				t.Fatalf("%d bytes that were not taken", untaken)
			}
			if untaken > hostWindow/2 {
				credit := binary.BigEndian.AppendUint32(nil, uint32(untaken))
				writing.Add(1)
				go func() {
					defer writing.Done()
					h.send(1, relayCredit, credit)
				}()
				untaken = 0
			}
		default:
			t.Fatalf("%+v", f)
		}
	}
	writing.Wait()
	if !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes, or others", len(got), len(sent))
	}
}

func TestWhatConnectionsMayTakeFitsTheMachine(t *testing.T) {
	for mebibytes, want := range map[int]bounds{
		0: {64, 16 << 10}, 40: {160, 16 << 10}, 64: {256, 16 << 10}, 480: {1920, 16 << 10},
		1024: {4096, 16 << 10}, 2048: {4096, 32 << 10}, 4096: {4096, 64 << 10}, 1 << 20: {4096, 64 << 10},
	} {
		got := boundsFor(mebibytes << 20)
		if got != want {
			t.Errorf("%d MiB: %+v", mebibytes, got)
		}
		worst := got.streams*(2*streamBytes+2*got.window) + mostPieces*(2*streamPiece)
		if mebibytes >= 64 && worst > mebibytes<<20*26/100 {
			t.Errorf("%d MiB: %d bytes at worst", mebibytes, worst)
		}
	}
}

// TestAsManyStreamsAsMayBeFullTakeNoMoreThanTheirPart measures what boundsFor counts with: in a
// machine of 64 MiB, all streams are open, and the app takes nothing of what the host sends.
func TestAsManyStreamsAsMayBeFullTakeNoMoreThanTheirPart(t *testing.T) {
	const machine = 60 << 20 // MemTotal of 64 MiB
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	small := &net.ListenConfig{Control: func(_, _ string, socket syscall.RawConn) error {
		return socket.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
		})
	}}
	port := servingWith(t, small, func(client *net.TCPConn) { <-release; client.Close() })
	h := newHostOf(t, machine)
	used := func() int {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int(stats.HeapAlloc + stats.StackInuse)
	}
	before := used()
	taken := make(chan int, 1) // what the sockets of the app's side take, as credit
	go func() {
		sum := 0
		for {
			f, err := h.read(2 * time.Second)
			if err != nil {
				taken <- sum
				return
			}
			if f.kind == relayCredit {
				n := binary.BigEndian.Uint32(f.content)
				sum += int(n)
				go h.send(f.stream, relayData, make([]byte, n)) // until its window is full
			}
		}
	}()
	for stream := range h.most.streams {
		h.open(uint32(stream+1), port)
		h.send(uint32(stream+1), relayData, make([]byte, h.most.window))
	}
	<-taken
	after := used()
	worst := h.most.streams * (streamBytes + 2*h.most.window)
	// The app's side of this test, a socket and a goroutine each, counts, too.
	if grown := after - before; grown > worst || grown < h.most.streams*h.most.window {
		t.Errorf("%d streams of %d bytes take %d, not up to %d", h.most.streams, h.most.window, grown, worst)
	}
	for stream := range h.most.streams + 1 {
		h.open(uint32(h.most.streams+stream+1), port)
	}
	f, err := h.read(30 * time.Second)
	for err == nil && f.kind == relayCredit { // a busy host is late
		f, err = h.read(30 * time.Second)
	}
	if err != nil || f.kind != relayReset || int(f.stream) != 2*h.most.streams+1 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestAResetOfTheHostIsOneForTheApp(t *testing.T) {
	ended := make(chan error, 1)
	port := echoing(t, func(client *net.TCPConn) {
		_, _ = client.Write([]byte("x"))
		_, err := io.Copy(io.Discard, client)
		ended <- err
	})
	h := newHost(t)
	h.open(1, port)
	if f := h.next(); f.kind != relayData {
		t.Fatalf("%+v", f)
	}
	h.send(1, relayReset, nil)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("an end, as if all had come")
		}
	case <-time.After(30 * time.Second):
		t.Error("the app is not told")
	}
}

// relayVector is a frame of tests/vectors/relay.json.
type relayVector struct {
	Why, Hex, Content string
	Stream            uint32
	Kind              byte
}

type relayFile struct {
	Both, Guest, Host, Refused []relayVector
	Datagrams                  []datagramVector
	Cut                        []cutVector
	Limits                     map[string]int
	Hellos                     []any // for hosts to read
}

func relayVectors(t *testing.T) (all relayFile) {
	t.Helper()
	vectors(t, "relay", &all)
	return all
}

func TestFramesOfARelayAreThoseOfTheVectors(t *testing.T) {
	all := relayVectors(t)
	limits := map[string]int{"head": frameHead, "content": maxContent, "window": hostWindow}
	if !maps.Equal(all.Limits, limits) {
		t.Errorf("%v, not %v", limits, all.Limits)
	}
	read := func(text string) (relayFrame, error) {
		data, _ := hex.DecodeString(text)
		return readFrame(bytes.NewReader(data), make([]byte, frameHead+maxContent))
	}
	for _, c := range append(all.Both, all.Host...) {
		f, err := read(c.Hex)
		if err != nil || f.stream != c.Stream || f.kind != c.Kind || hex.EncodeToString(f.content) != c.Content {
			t.Errorf("%s: %+v, %v", c.Why, f, err)
		}
	}
	for _, c := range append(all.Both, all.Guest...) {
		var sent bytes.Buffer
		content, _ := hex.DecodeString(c.Content)
		r := &relay{port: &sent}
		if err := r.send(c.Stream, c.Kind, content); err != nil || hex.EncodeToString(sent.Bytes()) != c.Hex {
			t.Errorf("%s: %x, %v", c.Why, sent.Bytes(), err)
		}
	}
	for _, c := range append(all.Refused, all.Guest...) {
		if f, err := read(c.Hex); err == nil || err == io.ErrUnexpectedEOF {
			t.Errorf("%s: %+v, %v", c.Why, f, err)
		}
	}
}

func TestTheWordIsFoundWhereverItIs(t *testing.T) {
	for _, before := range []string{"", "a", "aa", "aab", "abab"} {
		from := bufio.NewReader(bytes.NewReader([]byte(before + "aabrest")))
		if err := skipTo(from, []byte("aab")); err != nil {
			t.Errorf("%q: %v", before, err)
		}
	}
	if err := skipTo(bytes.NewReader([]byte("aa")), []byte("aab")); err != io.EOF {
		t.Errorf("%v", err)
	}
}

// FuzzRelay: whatever the host sends, a session ends without a wait.
func FuzzRelay(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, relayOpen, 0, 2, 0, 1, 0, 0, 0, 1, relayData, 0, 1, 'x', 0, 0, 0, 1, relayEnd, 0, 0})
	f.Add([]byte{0, 0, 0, 1, relayCredit, 0, 4, 255, 255, 255, 255})
	f.Add([]byte{0, 0, 0, 1, relayPart, 0, 1, 'x', 0, 0, 0, 1, relayDatagram, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		space := make([]byte, frameHead+maxContent)
		from := bytes.NewReader(data)
		r := newRelay(newDialer("127.0.0.1"), io.Discard, boundsFor(leastMemory))
		for {
			f, err := readFrame(from, space)
			if err != nil || f.kind == relayOpen || f.kind == relaySender || r.take(f) != nil {
				break
			}
		}
	})
}
