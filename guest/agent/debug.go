//go:build debug

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A debug profile has an agent with this file and its neighbours in it, and ports for it. Each
// port serves one client of the host at a time, and one task of that client. Both sides send
// lines. The host's are JSON, but for input, with a field "do":
//
//	run      a command: argv, input, terminal and its rows and columns, or socket
//	read     the file `path`, to be put out
//	pack     the file or directory `path`, to be put out as a tar archive
//	unpack   a tar archive, which is the input, to be written to `path`
//	close    the end of input
//	resize   the terminal has rows and columns
//	signal   a name such as INT
//
// Each has the id of its task. The first four begin one; "system": true asks for the machine
// itself instead of the app's container. Input is a line of its own kind, and so is all that
// the agent sends:
//
//	ID in BASE64
//	ID out BASE64    ID err BASE64    ID took BYTES    ID exit CODE
//
// took: so much of the input is done with; the host sends no more than 256 KiB ahead of
// that. When the host closes the connection, or begins another task, the task is ended. A
// client's first line is empty, because the one before it may have ended within one.
const (
	debugPort = "vcr.debug"
	piece     = 24<<10 - 96 // bytes in a line; with its id it is sent in one go, of 32 KiB
	toEnd     = 2 * time.Second
	toSettle  = 100 * time.Millisecond
)

type message struct {
	Do       string   `json:"do"`
	ID       string   `json:"id"`
	Argv     []string `json:"argv"`
	Path     string   `json:"path"`
	System   bool     `json:"system"`
	Input    bool     `json:"input"`
	Socket   bool     `json:"socket"`   // stdin and stdout are one, of TCP
	Terminal string   `json:"terminal"` // its type, "" for none
	Rows     uint16   `json:"rows"`
	Columns  uint16   `json:"columns"`
	Signal   string   `json:"signal"`
}

func init() { alsoServe = serveDebug }

func serveDebug() {
	var devices []string
	for len(devices) == 0 {
		time.Sleep(idle)
		devices = portDevices(debugPort)
	}
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		die(err)
	}
	awake := make([]chan struct{}, len(devices))
	for i, device := range devices {
		fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err != nil {
			die(err)
		}
		// By edges: while nobody is connected a port is always ready, to say so.
		event := syscall.EpollEvent{Events: syscall.EPOLLIN | 1<<31, Fd: int32(i)}
		if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
			die(err)
		}
		awake[i] = make(chan struct{}, 1)
		go servePort(os.NewFile(uintptr(fd), device), awake[i])
	}
	wakePorts(epoll, awake)
}

func portDevices(prefix string) (devices []string) {
	entries, _ := filepath.Glob("/sys/class/virtio-ports/*")
	for _, entry := range entries {
		name, err := os.ReadFile(filepath.Join(entry, "name"))
		if err == nil && strings.HasPrefix(string(name), prefix) {
			devices = append(devices, "/dev/"+filepath.Base(entry))
		}
	}
	return devices
}

// wakePorts tells a port's goroutine that something has happened there.
func wakePorts(epoll int, awake []chan struct{}) {
	events := make([]syscall.EpollEvent, len(awake))
	for {
		n, err := syscall.EpollWait(epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			die(err)
		}
		for _, event := range events[:max(n, 0)] {
			select {
			case awake[event.Fd] <- struct{}{}:
			default:
			}
		}
	}
}

func servePort(port *os.File, awake chan struct{}) {
	lines := &answerLines{port: port}
	for range awake {
		serveClient(port, lines) // returns at once while nobody is connected
	}
}

func serveClient(port io.Reader, lines *answerLines) {
	var current *task
	defer func() { current.end() }()
	ended := false
	for reader := bufio.NewReader(port); ; {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			// What a client sends and that another has gone come by queues of their own: the
			// end of the one before may be told when this one has begun. It counts if it lasts.
			if current == nil || ended {
				return
			}
			ended = true
			time.Sleep(toSettle)
			continue
		}
		ended = false
		if words := bytes.Fields(line); len(words) == 3 && string(words[1]) == "in" {
			current.add(string(words[0]), words[2])
			continue
		}
		m := message{}
		if json.Unmarshal(line, &m) != nil {
			continue // it is empty, or the end of one
		}
		switch m.Do {
		case "run", "read", "pack", "unpack":
			current.end()
			current = begin(m, lines)
		default:
			if current != nil && current.ID == m.ID {
				current.take(m)
			}
		}
	}
}

// task is what a client has asked for, while it is carried out.
type task struct {
	message
	lines  *answerLines
	input  *input
	events chan message // resize and signal
	// what a resize does, where there is a terminal
	onResize func(message)
	ctx      context.Context
	cancel   context.CancelFunc
}

func begin(m message, lines *answerLines) *task {
	t := &task{message: m, lines: lines, events: make(chan message, 16)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.input = newInput(func(n int) { lines.write(m.ID, "took", fmt.Sprint(n)) })
	go t.carryOut()
	return t
}

func (t *task) add(id string, text []byte) {
	if t == nil || t.ID != id {
		return
	}
	n, err := base64.StdEncoding.Decode(text, text)
	if err == nil {
		t.input.add(text[:n])
	}
}

func (t *task) take(m message) {
	switch m.Do {
	case "close":
		t.input.close()
	case "resize", "signal":
		select {
		case t.events <- m:
		default: // there is no end to them, and nobody to care
		}
	}
}

func (t *task) end() {
	if t != nil {
		t.cancel()
		t.input.close()
	}
}

func (t *task) carryOut() {
	defer t.cancel()
	code, err := 0, error(nil)
	switch t.Do {
	case "run":
		code, err = t.run()
	case "read":
		err = t.inside(func() error { return t.read() })
	case "pack":
		err = t.inside(func() error { return t.pack() })
	case "unpack":
		err = t.insideAsApp(func() error { return t.unpack() })
	}
	if err != nil {
		t.complain("%v", err)
		code = max(code, 1)
	}
	t.lines.write(t.ID, "exit", fmt.Sprint(code))
}

func (t *task) complain(format string, words ...any) {
	fmt.Fprintf(t.stream("err"), "vcr: "+format+"\n", words...)
}

func (t *task) stream(kind string) io.Writer { return answerStream{t, kind} }

// answerLines writes the lines of a port, whole, whoever else writes.
type answerLines struct {
	lock sync.Mutex
	port io.Writer
}

func (a *answerLines) write(id, kind, text string) {
	a.lock.Lock()
	defer a.lock.Unlock()
	fmt.Fprintf(a.port, "%s %s %s\n", id, kind, text)
}

type answerStream struct {
	task *task
	kind string
}

func (s answerStream) Write(data []byte) (int, error) {
	for at := 0; at < len(data); at += piece {
		if err := s.task.ctx.Err(); err != nil {
			return at, err
		}
		text := base64.StdEncoding.EncodeToString(data[at:min(at+piece, len(data))])
		s.task.lines.write(s.task.ID, s.kind, text)
	}
	return len(data), nil
}

// input is what the host has sent and the task has not read yet.
type input struct {
	lock   sync.Mutex
	change *sync.Cond
	data   []byte
	closed bool
	took   func(int)
}

func newInput(took func(int)) *input {
	i := &input{took: took}
	i.change = sync.NewCond(&i.lock)
	return i
}

func (i *input) add(data []byte) {
	i.lock.Lock()
	defer i.lock.Unlock()
	i.data = append(i.data, data...)
	i.change.Signal()
}

func (i *input) close() {
	i.lock.Lock()
	defer i.lock.Unlock()
	i.closed = true
	i.change.Broadcast()
}

func (i *input) Read(into []byte) (int, error) {
	i.lock.Lock()
	for len(i.data) == 0 && !i.closed {
		i.change.Wait()
	}
	n := copy(into, i.data)
	i.data = i.data[n:]
	i.lock.Unlock()
	if n == 0 {
		return 0, io.EOF
	}
	i.took(n)
	return n, nil
}
