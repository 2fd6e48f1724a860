//go:build debug

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	appConfig = "/containers/services/app/config.json" // of the OCI runtime
	endOfFile = 4                                      // Ctrl-D
	toDrain   = 100 * time.Millisecond                 // for what a command has left in its terminal
)

var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM,
}

// run returns the command's exit code, as a shell would say it.
func (t *task) run() (int, error) {
	command, err := t.command()
	if err != nil {
		return 1, err
	}
	defer os.Remove(t.file("pid"))
	defer os.Remove(t.file("json"))
	finish, err := t.connect(command)
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		return 127, err
	}
	ended := make(chan struct{})
	go t.heed(command, ended)
	finish(command)
	close(ended)
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	if !t.System && status.Signaled() && status.Signal() == syscall.SIGKILL {
		t.killInside()
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// command returns what is started: the command itself, or crun that starts it inside.
func (t *task) command() (*exec.Cmd, error) {
	argv := t.Argv
	if !t.System {
		if err := t.describe(); err != nil {
			return nil, err
		}
		argv = append([]string{crunPath}, crunArgs...)
		argv = append(argv, "exec", "--pid-file", t.file("pid"), "--process", t.file("json"), app)
	}
	command := exec.CommandContext(t.ctx, argv[0], argv[1:]...)
	command.Env = append(os.Environ(), "HOME=/root")
	if t.Terminal != "" {
		command.Env = append(command.Env, "TERM="+t.Terminal)
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// A shell on a terminal heeds no other. crun passes it on to what runs in the container.
	by := syscall.SIGTERM
	if t.Terminal != "" {
		by = syscall.SIGHUP
	}
	command.Cancel = func() error { return t.signal(command, by) }
	command.WaitDelay = toEnd
	return command, nil
}

func (t *task) file(kind string) string { return "/run/vcr/exec." + t.ID + "." + kind }

// describe writes for crun how the command runs: as the app does.
func (t *task) describe() error {
	text, err := os.ReadFile(appConfig)
	if err != nil {
		return err
	}
	if text, err = t.process(text); err != nil {
		return err
	}
	return os.WriteFile(t.file("json"), text, 0o600)
}

// process returns the app's process in CONFIG, its config.json, with the command instead. All else
// keeps its bytes: limits go up to 2^64-1, which no float64 holds.
func (t *task) process(config []byte) ([]byte, error) {
	var app struct {
		Process map[string]json.RawMessage `json:"process"`
	}
	if err := json.Unmarshal(config, &app); err != nil {
		return nil, err
	}
	changed := map[string]any{"args": t.Argv, "terminal": t.Terminal != ""}
	if t.Terminal != "" {
		var env []string
		if err := json.Unmarshal(app.Process["env"], &env); err != nil {
			return nil, err
		}
		changed["env"] = append(env, "TERM="+t.Terminal)
		changed["consoleSize"] = map[string]uint16{"height": t.Rows, "width": t.Columns}
	}
	for key, value := range app.Process {
		if _, is := changed[key]; !is {
			changed[key] = value
		}
	}
	return json.Marshal(changed)
}

// connect gives the command its streams; what it returns waits for the command's end.
func (t *task) connect(command *exec.Cmd) (func(*exec.Cmd), error) {
	if t.Terminal != "" {
		return t.connectTerminal(command)
	}
	if t.Socket {
		return t.connectSocket(command)
	}
	command.Stdout, command.Stderr = t.stream("out"), t.stream("err")
	wait := func(command *exec.Cmd) { _ = command.Wait() }
	if !t.Input {
		return wait, nil
	}
	pipe, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = io.Copy(pipe, t.input)
		pipe.Close()
		_, _ = io.Copy(io.Discard, t.input) // the command reads no more
	}()
	return wait, nil
}

func (t *task) connectTerminal(command *exec.Cmd) (func(*exec.Cmd), error) {
	master, slave, err := openTerminal()
	if err != nil {
		return nil, err
	}
	resize(master, t.Rows, t.Columns)
	if !t.System {
		makeRaw(slave) // the terminal proper is the one that crun makes
	}
	command.Stdin, command.Stdout, command.Stderr = slave, slave, slave
	command.SysProcAttr.Setctty = true
	t.onResize = func(m message) { resize(master, m.Rows, m.Columns) }
	return func(command *exec.Cmd) {
		slave.Close()
		go func() {
			_, _ = io.Copy(master, t.input)
			_, _ = master.Write([]byte{endOfFile})
		}()
		shown := make(chan struct{})
		go func() {
			_, _ = io.Copy(t.stream("out"), master)
			close(shown)
		}()
		_ = command.Wait()
		_ = master.SetReadDeadline(time.Now().Add(toDrain)) // others may still have it open
		<-shown
		master.Close()
	}, nil
}

// connectSocket is for a command that inetd would start.
func (t *task) connectSocket(command *exec.Cmd) (func(*exec.Cmd), error) {
	ours, theirs, err := openSocket()
	if err != nil {
		return nil, err
	}
	command.Stdin, command.Stdout, command.Stderr = theirs, theirs, t.stream("err")
	return func(command *exec.Cmd) {
		theirs.Close()
		go func() {
			_, _ = io.Copy(ours, t.input)
			_ = ours.CloseWrite()
		}()
		_, _ = io.Copy(t.stream("out"), ours)
		_ = command.Wait()
		ours.Close()
	}, nil
}

// openSocket returns the two ends of a connection of this machine with itself.
func openSocket() (*net.TCPConn, *os.File, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	ours, err := net.DialTCP("tcp", nil, listener.Addr().(*net.TCPAddr))
	if err != nil {
		return nil, nil, err
	}
	theirs, err := listener.AcceptTCP()
	if err == nil && theirs.RemoteAddr().String() != ours.LocalAddr().String() {
		theirs.Close()
		err = errors.New("somebody else has connected")
	}
	if err != nil {
		ours.Close()
		return nil, nil, err
	}
	defer theirs.Close()
	file, err := theirs.File()
	return ours, file, err
}

// heed passes on what the host says while the command runs.
func (t *task) heed(command *exec.Cmd, ended chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case m := <-t.events:
			if m.Do == "signal" {
				_ = t.signal(command, signals[m.Signal])
			} else if t.onResize != nil {
				t.onResize(m)
			}
		}
	}
}

// signal reaches a command of the machine with all it has started, as a terminal's would.
func (t *task) signal(command *exec.Cmd, number syscall.Signal) error {
	if t.System {
		return syscall.Kill(-command.Process.Pid, number)
	}
	return command.Process.Signal(number)
}

// killInside ends what has outlived crun, which was killed because it did not end in time.
func (t *task) killInside() {
	text, err := os.ReadFile(t.file("pid"))
	if err != nil {
		return
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// openTerminal returns both ends of a new one: pty(7), ioctl_tty(2).
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	var number, locked uint32
	err = errors.Join(
		control(master, syscall.TIOCSPTLCK, unsafe.Pointer(&locked)),
		control(master, syscall.TIOCGPTN, unsafe.Pointer(&number)),
	)
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
	}
	return master, slave, err
}

func resize(terminal *os.File, rows, columns uint16) {
	size := [4]uint16{rows, columns} // struct winsize
	_ = control(terminal, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
}

// makeRaw lets everything through as it comes: cfmakeraw(3).
func makeRaw(terminal *os.File) {
	var is syscall.Termios
	if control(terminal, syscall.TCGETS, unsafe.Pointer(&is)) != nil {
		return
	}
	is.Iflag &^= syscall.IGNBRK | syscall.BRKINT | syscall.PARMRK | syscall.ISTRIP | syscall.INLCR |
		syscall.IGNCR | syscall.ICRNL | syscall.IXON
	is.Oflag &^= syscall.OPOST
	is.Lflag &^= syscall.ECHO | syscall.ECHONL | syscall.ICANON | syscall.ISIG | syscall.IEXTEN
	_ = control(terminal, syscall.TCSETS, unsafe.Pointer(&is))
}

// control does not use Fd(), which would make reads block for good.
func control(file *os.File, request uintptr, argument unsafe.Pointer) error {
	connection, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = connection.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
