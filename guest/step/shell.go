//go:build shell

// With the tag shell this program is /init of the machine of `vcr build --debug-shell`: it
// carries the step out as without, and then opens a shell where the step has ended, on the
// terminal of whoever sits at the host.
//
// It takes over before main: what a step of a normal build runs under stays the same to the
// byte, because a machine counts time by the instructions that are executed.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	// To the machine: frames, a kind and the length of what follows in two bytes, big-endian.
	// From it: what the terminal shows, as it is. vcr/build/shell_terminal.py has the other end.
	terminalPort = "vcr.terminal"
	typed        = 'd'
	resized      = 'r' // rows and columns, two bytes each

	machineBusybox = "/bin/busybox"
	toolsDir       = "/tools" // of the machine; what the image may not have
	toolsPoint     = "/.vcr"  // where they are for the shell, and only for it
	attachPath     = toolsPoint + "/terminal"
)

func init() {
	switch {
	case os.Args[0] == attachPath:
		attach()
	case os.Args[0] == childName || os.Getpid() != 1: // a test, say
		return
	}
	job, err := boot()
	if err == nil {
		err = carryOutAndStay(job)
	}
	if err != nil {
		die(err)
	}
	end()
}

// carryOutAndStay sends no layer: what is done in a shell is not built.
func carryOutAndStay(job *Job) error {
	root, err := mountRoot(job)
	if err != nil {
		return err
	}
	network, err := openNetwork(job)
	if err != nil {
		return err
	}
	result, err := runStep(job, root, network)
	if err != nil {
		return err
	}
	if err := root.showTools(); err != nil {
		return err
	}
	env := append([]string{"TERM=" + terminalType()}, job.Env...)
	if network != nil {
		env = append(env, network.env()...)
	}
	if err := openShell(job, env, result); err != nil {
		return err
	}
	port, err := openPort(resultPort)
	if err != nil {
		return err
	}
	return json.NewEncoder(port).Encode(result)
}

func terminalType() string {
	var job struct {
		Terminal string `json:"terminal"`
	}
	data, err := os.ReadFile("/job.json")
	if err == nil {
		err = json.Unmarshal(data, &job)
	}
	if err != nil || job.Terminal == "" {
		return "xterm"
	}
	return job.Terminal
}

// showTools makes this program and busybox visible to what runs in the root from now on.
func (r *Root) showTools() error {
	bin := toolsDir + "/bin"
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if err := os.Link("/init", filepath.Join(toolsDir, filepath.Base(attachPath))); err != nil {
		return err
	}
	if err := os.Link(machineBusybox, bin+"/busybox"); err != nil {
		return err
	}
	names, err := exec.Command(machineBusybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("asking busybox what it has: %w", err)
	}
	for _, name := range strings.Fields(string(names)) {
		if name == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	if _, err := r.point(toolsPoint, true); err != nil {
		return err
	}
	return r.bind(toolsDir, toolsPoint, true)
}

// openShell returns when whoever sits at the terminal has left the shell.
func openShell(job *Job, env []string, result *Result) error {
	port, err := openPort(terminalPort)
	if err != nil {
		return err
	}
	master, name, err := openTerminal()
	if err != nil {
		return fmt.Errorf("opening a terminal: %w", err)
	}
	// Held open, so that the terminal does not end between two attempts.
	held, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	shown := make(chan struct{})
	go func() {
		_, _ = io.CopyBuffer(struct{ io.Writer }{port}, struct{ io.Reader }{master}, make([]byte, portChunkSize))
		close(shown)
	}()
	go obey(port, master)
	fmt.Fprintf(held, "vcr: %s. This shell is where it ended: `exit` leaves it.\n", ending(result))
	argv := []string{attachPath}
	// A step whose user or directory is what is wrong gets a shell of another.
	for _, who := range []childJob{{argv, env, job.User, job.Workdir}, {argv, env, "0:0", "/"}} {
		terminal, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			return err
		}
		wait, err := startChild(&who, terminal)
		if err != nil {
			return err
		}
		ended, err := wait()
		if err != nil {
			return err
		}
		if ended.Error == "" {
			break
		}
		fmt.Fprintf(held, "vcr: no shell as the step has it: %s. This is root in /.\n", ended.Error)
	}
	held.Close()
	<-shown
	return nil
}

// ending says how the step went, which has just been carried out once more.
func ending(result *Result) string {
	switch {
	case result.Error != "":
		return "the step was not started: " + result.Error
	case result.Signal != 0:
		return fmt.Sprintf("the step was ended by signal %d", result.Signal)
	case result.Exit != 0:
		return fmt.Sprintf("the step exited with %d", result.Exit)
	}
	return "this time the step went well"
}

// openTerminal returns the master of a new terminal and the path of its other end: pty(7),
// ioctl_tty(2). It is one of the root's, so that programs find its name there.
func openTerminal() (*os.File, string, error) {
	master, err := os.OpenFile(rootDir+"/dev/pts/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, "", err
	}
	unlocked, number := make([]byte, 4), make([]byte, 4)
	if err := ioctl(int(master.Fd()), syscall.TIOCSPTLCK, unlocked); err != nil {
		return nil, "", err
	}
	if err := ioctl(int(master.Fd()), syscall.TIOCGPTN, number); err != nil {
		return nil, "", err
	}
	return master, fmt.Sprintf("%s/dev/pts/%d", rootDir, binary.NativeEndian.Uint32(number)), nil
}

// obey gives the terminal what is typed at the host, until the host has gone.
func obey(port io.Reader, master *os.File) {
	frames := bufio.NewReader(port)
	for {
		var head [3]byte
		if _, err := io.ReadFull(frames, head[:]); err != nil {
			end()
		}
		data := make([]byte, binary.BigEndian.Uint16(head[1:]))
		if _, err := io.ReadFull(frames, data); err != nil {
			end()
		}
		switch head[0] {
		case typed:
			_, _ = master.Write(data)
		case resized:
			size := make([]byte, 8) // struct winsize
			for i := 0; i+1 < len(data) && i < 4; i += 2 {
				binary.NativeEndian.PutUint16(size[i:], binary.BigEndian.Uint16(data[i:]))
			}
			_ = ioctl(int(master.Fd()), syscall.TIOCSWINSZ, size)
		}
	}
}

// attach runs in the root, as the step's user, with the terminal as stdout; it becomes a shell.
func attach() {
	none := make([]byte, 4)
	if err := ioctl(1, syscall.TIOCSCTTY, none); err != nil {
		fmt.Println("vcr: the terminal does not take a shell:", err)
	}
	_ = syscall.Dup3(1, 0, 0)
	env := os.Environ()
	for _, name := range []string{"bash", "sh", "/bin/sh"} {
		if program, err := find(name, value(env, "PATH")); err == nil {
			_ = syscall.Exec(program, []string{name}, env)
		}
	}
	fmt.Printf("vcr: the image has no shell. This one is busybox, with more in %s/bin.\n", toolsPoint)
	path := "PATH=" + value(env, "PATH") + ":" + toolsPoint + "/bin"
	env = append(slices.DeleteFunc(env, func(pair string) bool { return strings.HasPrefix(pair, "PATH=") }), path)
	err := syscall.Exec(toolsPoint+"/bin/busybox", []string{"sh"}, env)
	fmt.Println("vcr: there is no shell:", err)
	os.Exit(exitNotFound)
}
