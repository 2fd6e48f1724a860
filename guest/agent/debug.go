//go:build debug

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// The profile prod-debug has an agent with this file in it, and a port for it. A line is a
// request; each line of the answer begins with the request's ID:
//
//	{"id": ID, "argv": [...]}    ID out BASE64, ID err BASE64, any number of times, ID exit CODE
//	{"id": ID, "path": PATH}     the same, the file being what is put out
//
// "system": true asks for the machine itself instead of the app's container. When the host
// closes the connection, what it asked for is ended.
const (
	debugPort = "vcr.debug"
	piece     = 24 << 10 // bytes of output in a line; the driver takes 32 KiB at once
	toEnd     = 2 * time.Second
)

type debugRequest struct {
	ID     string   `json:"id"`
	Argv   []string `json:"argv"`
	Path   string   `json:"path"`
	System bool     `json:"system"`
}

func init() { go serveDebug() }

func serveDebug() {
	device, err := portDevice(debugPort)
	for err != nil {
		time.Sleep(idle)
		device, err = portDevice(debugPort)
	}
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		die(err)
	}
	port := os.NewFile(uintptr(fd), device)
	for {
		// A read ends at once while nobody is connected.
		serveClient(port)
		time.Sleep(idle)
	}
}

func serveClient(port io.ReadWriter) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for lines := bufio.NewReader(port); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		request := debugRequest{}
		if err := json.Unmarshal(line, &request); err != nil {
			say("%s: %v", debugPort, err)
			continue
		}
		go request.answer(ctx, port)
	}
}

func (r debugRequest) answer(ctx context.Context, port io.Writer) {
	lines := &answerLines{id: r.ID, port: port}
	code, err := 0, error(nil)
	if len(r.Argv) > 0 {
		code, err = r.run(ctx, lines)
	} else {
		err = r.read(ctx, lines.stream("out"))
	}
	if err != nil {
		fmt.Fprintf(lines.stream("err"), "vcr: %v\n", err)
		code = max(code, 1)
	}
	lines.write("exit", fmt.Sprint(code))
}

// run returns the command's exit code, as a shell would say it.
func (r debugRequest) run(ctx context.Context, lines *answerLines) (int, error) {
	argv := r.Argv
	if !r.System {
		argv = append(append([]string{crunPath}, crunArgs...), append([]string{"exec", app}, argv...)...)
	}
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Stdout, command.Stderr = lines.stream("out"), lines.stream("err")
	// crun passes it on to what runs in the container.
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = toEnd
	err := command.Run()
	if command.ProcessState == nil {
		return 127, err
	}
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// openat2(2): no link leads out of the root that a path is resolved in.
const (
	sysOpenat2    = 437
	resolveInRoot = 0x10
)

func (r debugRequest) read(ctx context.Context, out io.Writer) error {
	root := "/"
	if !r.System {
		pid, err := appProcess()
		if err != nil {
			return err
		}
		root = fmt.Sprintf("/proc/%d/root", pid)
	}
	directory, err := os.Open(root)
	if err != nil {
		return err
	}
	defer directory.Close()
	path, err := syscall.BytePtrFromString(r.Path)
	if err != nil {
		return err
	}
	how := [3]uint64{syscall.O_RDONLY | syscall.O_CLOEXEC, 0, resolveInRoot} // struct open_how
	fd, _, errno := syscall.Syscall6(sysOpenat2, directory.Fd(), uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
	if errno != 0 {
		return fmt.Errorf("%s: %w", r.Path, errno)
	}
	file := os.NewFile(fd, r.Path)
	defer file.Close()
	for ctx.Err() == nil {
		_, err := io.CopyN(out, file, piece)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// appProcess returns the ID of the container's first process.
func appProcess() (int, error) {
	output, err := crun("state", app).Output()
	if err != nil {
		return 0, fmt.Errorf("the app does not run")
	}
	var state struct {
		PID int `json:"pid"`
	}
	err = json.Unmarshal(output, &state)
	return state.PID, err
}

// answerLines writes the lines of one answer, whole, whoever else writes.
type answerLines struct {
	id   string
	port io.Writer
}

var portLock sync.Mutex

func (a *answerLines) write(kind, text string) {
	portLock.Lock()
	defer portLock.Unlock()
	fmt.Fprintf(a.port, "%s %s %s\n", a.id, kind, text)
}

type answerStream struct {
	lines *answerLines
	kind  string
}

func (a *answerLines) stream(kind string) io.Writer { return answerStream{a, kind} }

func (s answerStream) Write(data []byte) (int, error) {
	for at := 0; at < len(data); at += piece {
		s.lines.write(s.kind, base64.StdEncoding.EncodeToString(data[at:min(at+piece, len(data))]))
	}
	return len(data), nil
}
