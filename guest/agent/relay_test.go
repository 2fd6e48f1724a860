package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
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
}

func newHost(t *testing.T) *host {
	t.Helper()
	ours, theirs := net.Pipe()
	r := &relay{app: newDialer("127.0.0.1"), port: theirs, streams: map[uint32]*stream{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.session(theirs)
		r.endAll()
		theirs.Close()
	}()
	h := &host{t, ours, bufio.NewReader(ours)}
	hello := h.next()
	if hello.kind != relayHello || len(hello.content) != helloBytes {
		t.Fatalf("not hello: %+v", hello)
	}
	t.Cleanup(func() { ours.Close(); <-ended })
	h.write(append([]byte("the rest of another"), hello.content...))
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
	_ = h.side.SetReadDeadline(time.Now().Add(30 * time.Second))
	head := make([]byte, frameHead)
	if _, err := io.ReadFull(h.from, head); err != nil {
		h.t.Fatal(err)
	}
	content := make([]byte, binary.BigEndian.Uint16(head[5:]))
	if _, err := io.ReadFull(h.from, content); err != nil {
		h.t.Fatal(err)
	}
	return relayFrame{binary.BigEndian.Uint32(head), head[4], content}
}

// backlogOfOne returns a socket with a backlog of 1, and its port.
func backlogOfOne(t *testing.T) (int, int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, name.(*syscall.SockaddrInet4).Port
}

func TestAnAppWithABacklogOfOneGetsAllStreams(t *testing.T) {
	const clients = 100
	fd, port := backlogOfOne(t)
	go func() {
		for {
			client, _, err := syscall.Accept(fd)
			if err != nil {
				return
			}
			time.Sleep(time.Millisecond)
			_, _ = syscall.Write(client, []byte("hello"))
			syscall.Close(client)
		}
	}()
	h := newHost(t)
	begin := time.Now()
	for n := range uint32(clients) {
		h.open(n, port)
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
	fd, port := backlogOfOne(t)
	syscall.Close(fd)
	h := newHost(t)
	h.open(7, port)
	if f := h.next(); f.stream != 7 || f.kind != relayReset {
		t.Errorf("%+v", f)
	}
}

// echoing serves one client, up to its end.
func echoing(t *testing.T, serve func(*net.TCPConn)) int {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
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
	return listener.Addr().(*net.TCPAddr).Port
}

func TestMuchArrivesWholeWithinTheWindow(t *testing.T) {
	const size = 3 << 20
	port := echoing(t, func(client *net.TCPConn) { _, _ = io.Copy(client, client); _ = client.CloseWrite() })
	h := newHost(t)
	h.open(1, port)
	var writing sync.WaitGroup
	credits := make(chan int, size)
	credits <- window
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
			if untaken += len(f.content); untaken > window {
				t.Fatalf("%d bytes that were not taken", untaken)
			}
			if untaken > window/2 {
				go h.send(1, relayCredit, binary.BigEndian.AppendUint32(nil, uint32(untaken)))
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

func TestFramesOfARelayAreThoseOfTheVectors(t *testing.T) {
	var all struct{ Both, Guest, Host, Refused []relayVector }
	vectors(t, "relay", &all)
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
	f.Fuzz(func(t *testing.T, data []byte) {
		space := make([]byte, frameHead+maxContent)
		from := bytes.NewReader(data)
		r := &relay{app: newDialer("127.0.0.1"), port: io.Discard, streams: map[uint32]*stream{}}
		for {
			f, err := readFrame(from, space)
			if err != nil || f.kind == relayOpen || r.take(f) != nil {
				break
			}
		}
	})
}
