package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const mebi = 1 << 20

// relayVector is a frame of tests/vectors/relay.json, and helloVector what a machine begins with.
type relayVector struct {
	Why, Hex, Content string
	Stream            uint32
	Kind              byte
}

type relayVectors struct {
	Limits                     map[string]int
	Both, Guest, Host, Refused []relayVector
	Datagrams, Cut             []any // of hosts that carry them
	Hellos                     []struct {
		Why, Content    string
		Streams, Window int
		Refused         bool
	}
}

func TestFramesOfTheRelayAreThoseOfTheVectors(t *testing.T) {
	var all relayVectors
	vectors(t, "relay", &all)
	limits := map[string]int{"head": frameHead, "content": maxContent, "window": window}
	if !maps.Equal(all.Limits, limits) {
		t.Errorf("%v, not %v", limits, all.Limits)
	}
	read := func(text string) (frame, error) {
		return readFrame(bytes.NewReader(bytesOf(t, text)), make([]byte, frameHead+maxContent))
	}
	for _, c := range append(all.Both, all.Guest...) {
		f, err := read(c.Hex)
		if err != nil || f.stream != c.Stream || f.kind != c.Kind || hex.EncodeToString(f.content) != c.Content {
			t.Errorf("%s: %+v, %v", c.Why, f, err)
		}
	}
	for _, c := range append(all.Both, all.Host...) {
		if got := (frame{c.Stream, c.Kind, bytesOf(t, c.Content)}).encode(); hex.EncodeToString(got) != c.Hex {
			t.Errorf("%s: %x", c.Why, got)
		}
	}
	for _, c := range append(all.Refused, all.Host...) {
		if f, err := read(c.Hex); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %+v, %v", c.Why, f, err)
		}
	}
	for _, c := range all.Hellos {
		got, err := readHello(bytesOf(t, c.Content))
		if (err != nil) != c.Refused || err == nil && (got.streams != c.Streams || got.window != c.Window) {
			t.Errorf("%s: %+v, %v", c.Why, got, err)
		}
	}
}

// inside is the machine at the other end of a relay: its agent, and apps at ports.
type inside struct {
	t       *testing.T
	side    net.Conn
	relay   *relay
	ended   chan error
	writing sync.Mutex
	mutex   sync.Mutex
	streams map[uint32]*app
	word    string // that is looked for
	window  int
	opened  int
	open    int
	most    int // were open at a time
}

// app is one connection in the machine.
type app struct {
	in     *inside
	id     uint32
	port   uint16
	mutex  sync.Mutex
	change *sync.Cond
	got    []byte
	ended  bool
	reset  bool
	may    int
}

// The ports of the machine, and what listens there.
const (
	echoes   = 7  // sends all back, and ends when the client has
	discards = 9  // takes all, then says how much
	gives    = 19 // gives 200 MiB at once, whatever comes
	refuses  = 1
	breaks   = 2 // says something, then resets
	closes   = 3 // ends first, then takes all
	deaf     = 4 // never takes anything
)

const much = 200 * mebi

func newInside(t *testing.T, streams, most int) *inside {
	t.Helper()
	ours, theirs := net.Pipe()
	in := &inside{t: t, side: theirs, relay: newRelay(ours), window: most, ended: make(chan error, 1)}
	go func() { in.ended <- in.relay.run() }()
	t.Cleanup(func() {
		theirs.Close()
		in.mutex.Lock()
		defer in.mutex.Unlock()
		for _, a := range in.streams {
			a.mutex.Lock()
			a.reset = true
			a.change.Broadcast()
			a.mutex.Unlock()
		}
	})
	go in.serve()
	in.begin("the word is word", streams)
	if err := in.relay.await(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	return in
}

// begin is an agent's begin: it says hello, and skips what was for another one.
func (in *inside) begin(word string, streams int) {
	in.mutex.Lock()
	in.streams, in.word = map[uint32]*app{}, word
	in.mutex.Unlock()
	in.send(0, frameHello, append(append([]byte(word), number32(streams)...), number32(in.window)...))
}

func (in *inside) send(stream uint32, kind byte, content []byte) {
	in.writing.Lock()
	defer in.writing.Unlock()
	_, _ = in.side.Write(frame{stream, kind, content}.encode())
}

// serve takes frames of the host, whatever the apps do.
func (in *inside) serve() {
	from := bufio.NewReader(in.side)
	for {
		if _, err := from.Peek(1); err != nil {
			return
		}
		in.mutex.Lock()
		word := in.word
		in.word = ""
		in.mutex.Unlock()
		for last := ""; last != word; {
			next, err := from.ReadByte()
			if err != nil {
				return
			}
			last = (last + string(next))[max(0, len(last)+1-len(word)):]
		}
		if word != "" {
			continue
		}
		head := make([]byte, frameHead)
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		content := make([]byte, binary.BigEndian.Uint16(head[5:]))
		if _, err := io.ReadFull(from, content); err != nil {
			return
		}
		in.take(frame{binary.BigEndian.Uint32(head), head[4], content})
	}
}

func (in *inside) take(f frame) {
	in.mutex.Lock()
	defer in.mutex.Unlock()
	if f.kind == frameOpen {
		in.opened++
		in.open++
		in.most = max(in.most, in.open)
		a := &app{in: in, id: f.stream, port: binary.BigEndian.Uint16(f.content), may: window}
		a.change = sync.NewCond(&a.mutex)
		in.streams[f.stream] = a
		go a.run()
		return
	}
	a := in.streams[f.stream]
	if a == nil {
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	defer a.change.Broadcast()
	switch f.kind {
	case frameData:
		if a.got = append(a.got, f.content...); len(a.got) > in.window {
			in.t.Errorf("%d bytes that were not taken", len(a.got))
		}
	case frameEnd:
		a.ended = true
	case frameReset:
		a.reset = true
	case frameCredit:
		a.may += int(binary.BigEndian.Uint32(f.content))
	}
}

// read returns what came, nil at the end.
func (a *app) read() []byte {
	a.mutex.Lock()
	for len(a.got) == 0 && !a.ended && !a.reset {
		a.change.Wait()
	}
	got := a.got
	a.got = nil
	a.mutex.Unlock()
	if len(got) > 0 {
		a.in.send(a.id, frameCredit, number32(len(got)))
	}
	return got
}

// write returns whether all went.
func (a *app) write(data []byte) bool {
	for len(data) > 0 {
		a.mutex.Lock()
		for a.may == 0 && !a.reset {
			a.change.Wait()
		}
		n := min(len(data), a.may, maxContent)
		a.may -= n
		isReset := a.reset
		a.mutex.Unlock()
		if isReset {
			return false
		}
		a.in.send(a.id, frameData, data[:n])
		data = data[n:]
	}
	return true
}

func (a *app) run() {
	defer func() {
		a.in.mutex.Lock()
		defer a.in.mutex.Unlock()
		a.in.open--
	}()
	took := 0
	switch a.port {
	case refuses:
		a.in.send(a.id, frameReset, nil)
		return
	case breaks:
		a.write([]byte("some"))
		a.in.send(a.id, frameReset, nil)
		return
	case echoes:
		for data := a.read(); data != nil; data = a.read() {
			a.write(data)
		}
	case gives:
		for piece := make([]byte, mebi); took < much && a.write(piece); {
			took += len(piece)
		}
	case closes:
		a.write([]byte("bye"))
		a.in.send(a.id, frameEnd, nil)
		for data := a.read(); data != nil; data = a.read() {
			took += len(data)
		}
		return
	case discards:
		for data := a.read(); data != nil; data = a.read() {
			took += len(data)
		}
		a.write(binary.BigEndian.AppendUint64(nil, uint64(took)))
	case deaf:
		a.mutex.Lock()
		for !a.reset {
			a.change.Wait()
		}
		a.mutex.Unlock()
		return
	}
	a.in.send(a.id, frameEnd, nil)
}

// client connects to a port of the app, as a parent does.
func (in *inside) client(port uint16) *os.File {
	in.t.Helper()
	ours, theirs := ends(in.t)
	_ = ours.SetDeadline(time.Now().Add(60 * time.Second))
	in.t.Cleanup(func() { ours.Close() })
	go in.relay.carry(theirs, port)
	return ours
}

// asked is what comes back when a client sends something and ends.
func (in *inside) asked(port uint16, text string) string {
	client := in.client(port)
	defer client.Close()
	if text != "" {
		if _, err := io.WriteString(client, text); err != nil {
			return err.Error()
		}
	}
	endWrites(client)
	got, err := io.ReadAll(client)
	if err != nil {
		return err.Error()
	}
	return string(got)
}

func TestAHundredConnectionsAtOnceAreAnswered(t *testing.T) {
	in := newInside(t, 256, 16<<10)
	var all sync.WaitGroup
	for n := range 100 {
		all.Add(1)
		go func() {
			defer all.Done()
			if want := strings.Repeat("x", n*1000); in.asked(echoes, want) != want {
				t.Errorf("%d: another answer", n)
			}
		}()
	}
	all.Wait()
	if in.opened != 100 {
		t.Error(in.opened)
	}
}

func TestNoMoreAreOpenThanTheMachineTakes(t *testing.T) {
	in := newInside(t, 3, 16<<10)
	var all sync.WaitGroup
	for range 30 {
		all.Add(1)
		go func() {
			defer all.Done()
			if got := in.asked(echoes, "hello"); got != "hello" {
				t.Errorf("%q", got)
			}
		}()
	}
	all.Wait()
	// A stream is over here a moment before its app is.
	if in.opened != 30 || in.most > 6 {
		t.Error(in.opened, in.most)
	}
}

func TestEachSideMayEndFirst(t *testing.T) {
	in := newInside(t, 256, 16<<10)
	if got := in.asked(discards, "twelve bytes"); got != "\x00\x00\x00\x00\x00\x00\x00\x0c" {
		t.Errorf("%q", got)
	}
	client := in.client(closes)
	got := make([]byte, 100)
	if n, err := io.ReadFull(client, got); string(got[:n]) != "bye" || err != io.ErrUnexpectedEOF {
		t.Errorf("%q, %v", got[:n], err)
	}
	if _, err := client.Write(make([]byte, 100_000)); err != nil { // more than the window
		t.Error(err)
	}
}

func TestABrokenConnectionIsNoneAnyMore(t *testing.T) {
	in := newInside(t, 2, 16<<10)
	for range 10 { // places are free again
		if got := in.asked(refuses, ""); got != "" {
			t.Errorf("%q", got)
		}
		if got := in.asked(breaks, ""); got != "some" && got != "" {
			t.Errorf("%q", got)
		}
		client := in.client(gives)
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		client.Close()
	}
}

// TestMuchArrivesWholeWithinBoundedMemory is 200 MiB each way.
func TestMuchArrivesWholeWithinBoundedMemory(t *testing.T) {
	in := newInside(t, 256, 16<<10)
	used := func() int {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int(stats.HeapInuse)
	}
	runtime.GC()
	before, most := used(), 0
	watch := func() { most = max(most, used()-before) }
	client, piece := in.client(discards), make([]byte, mebi)
	for n := range much / mebi {
		if _, err := client.Write(piece); err != nil {
			t.Fatal(err)
		}
		if n%20 == 0 {
			watch()
		}
	}
	endWrites(client)
	if got, err := io.ReadAll(client); err != nil || binary.BigEndian.Uint64(got) != much {
		t.Errorf("%x, %v", got, err)
	}
	client = in.client(gives)
	for n, got := 0, 0; ; n++ {
		size, err := client.Read(piece)
		got += size
		if n%500 == 0 {
			watch()
		}
		if err == io.EOF && got == much {
			break
		}
		if err != nil {
			t.Fatalf("%d bytes, %v", got, err)
		}
	}
	if most > 64*mebi {
		t.Errorf("%d MiB", most/mebi)
	}
}

// TestWhoDoesNotReadHoldsNobodyUp: 100 clients stall, in either direction.
func TestWhoDoesNotReadHoldsNobodyUp(t *testing.T) {
	in := newInside(t, 256, 16<<10)
	for range 50 {
		in.client(gives)
		stalled := in.client(deaf)
		_ = stalled.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, _ = stalled.Write(make([]byte, mebi))
	}
	for range 50 {
		if got := in.asked(echoes, "hello"); got != "hello" {
			t.Fatalf("%q", got)
		}
	}
	in.relay.now.Load().mutex.Lock()
	defer in.relay.now.Load().mutex.Unlock()
	for _, s := range in.relay.now.Load().streams {
		s.mutex.Lock()
		if s.waits > window || len(s.data) > window {
			t.Errorf("%d bytes", s.waits)
		}
		s.mutex.Unlock()
	}
}

func TestAnotherAgentBeginsAnew(t *testing.T) {
	in := newInside(t, 1, 16<<10)
	for _, word := range []string{"another word is ", "and one more is "} {
		first := in.client(echoes)
		if _, err := io.WriteString(first, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		waiting := in.client(echoes) // the machine takes one only
		in.begin(word, 1)
		if _, err := first.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		endWrites(waiting) // which may have come as one of the new agent's
		if _, err := waiting.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		got := ""
		for end := time.Now().Add(10 * time.Second); got != "hello" && time.Now().Before(end); {
			got = in.asked(echoes, "hello") // the new one may not have been heard yet
		}
		if got != "hello" {
			t.Errorf("%q", got)
		}
	}
	in.side.Close()
	if err := <-in.ended; err == nil {
		t.Error("no error")
	}
	if got := in.asked(echoes, "hello"); got == "hello" {
		t.Error("a connection")
	}
}

func TestAMachineThatBreaksTheRulesEndsItAll(t *testing.T) {
	for why, do := range map[string]func(in *inside, stream uint32){
		"more than the window": func(in *inside, stream uint32) {
			for range 64 { // more than the socket of the client takes, too
				in.send(stream, frameData, make([]byte, maxContent))
			}
		},
		"data after the end": func(in *inside, stream uint32) {
			in.send(stream, frameEnd, nil)
			in.send(stream, frameData, []byte("x"))
		},
		"no frame":       func(in *inside, stream uint32) { in.send(stream, 9, nil) },
		"bounds of none": func(in *inside, _ uint32) { in.send(0, frameHello, make([]byte, helloBytes)) },
		"a datagram":     func(in *inside, stream uint32) { in.send(stream, frameDatagram, []byte("x")) },
		"a host's frame": func(in *inside, stream uint32) { in.send(stream, frameOpen, []byte{0, 7}) },
	} {
		in := newInside(t, 256, 16<<10)
		client := in.client(echoes)
		if _, err := io.WriteString(client, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		do(in, 1)
		select {
		case err := <-in.ended:
			if err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", why, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: it goes on", why)
		}
		if _, err := io.ReadAll(client); err != nil {
			t.Errorf("%s: %v", why, err)
		}
		if got := in.asked(echoes, "x"); got == "x" {
			t.Errorf("%s: a connection", why)
		}
	}
}
