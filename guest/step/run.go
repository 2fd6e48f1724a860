package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	hostname  = "vcr"
	childName = "vcr-step-child"
	cachePort = "vcr.cache"
	// What a shell answers for a command that is not there, or not executable.
	exitNotFound = 127
)

// childJob is what the child is told, over a pipe that closes when it executes.
type childJob struct {
	Argv    []string
	Env     []string
	User    string
	Workdir string
}

// runStep runs the command to its end, its output to the host as it comes.
func runStep(job *Job, root *Root, network *network) (*Result, error) {
	output, err := openPort(outputPort)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	env := job.Env
	if network != nil {
		env = append(env, network.env()...)
	}
	problem, err := startChild(&childJob{job.Argv, env, job.User, job.Workdir}, writer)
	if err != nil {
		return nil, err
	}
	// Until nobody holds the other end; the end of the command ends all it started.
	if _, err := io.CopyBuffer(struct{ io.Writer }{output}, reader, make([]byte, portChunkSize)); err != nil {
		return nil, err
	}
	result, err := problem()
	if err != nil {
		return nil, err
	}
	result.OOM = oomKills() > 0
	var disk syscall.Statfs_t
	if err := syscall.Statfs(upperDir, &disk); err == nil {
		result.Full = disk.Bavail == 0
	}
	if network != nil {
		result.Refused = network.refusals()
	}
	return result, nil
}

// startChild starts the command in namespaces of its own; what it returns waits for it.
func startChild(job *childJob, output *os.File) (func() (*Result, error), error) {
	defer output.Close()
	told, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	failed, fail, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	command := exec.Command("/proc/self/exe")
	command.Args = []string{childName}
	command.Stdout, command.Stderr = output, output
	command.ExtraFiles = []*os.File{told, fail}
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Setsid:     true,
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the command: %w", err)
	}
	told.Close()
	fail.Close()
	if err := json.NewEncoder(tell).Encode(job); err != nil {
		return nil, err
	}
	tell.Close()
	return func() (*Result, error) {
		reason, err := io.ReadAll(failed)
		if err != nil {
			return nil, err
		}
		result := &Result{Error: string(reason)}
		var ended *exec.ExitError
		if err := command.Wait(); errors.As(err, &ended) {
			status := ended.Sys().(syscall.WaitStatus)
			result.Exit = max(status.ExitStatus(), 0)
			if status.Signaled() {
				result.Signal = int(status.Signal())
			}
		} else if err != nil {
			return nil, err
		}
		return result, nil
	}, nil
}

// child runs in the new namespaces and becomes the command. It does not return.
func child() {
	told, fail := os.NewFile(3, "job"), os.NewFile(4, "failure")
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	job := &childJob{}
	err := json.NewDecoder(told).Decode(job)
	if err == nil {
		err = become(job)
	}
	fmt.Fprint(fail, err)
	os.Exit(exitNotFound)
}

func become(job *childJob) error {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("0"), 0); err != nil {
		return err
	}
	if err := enterRoot(); err != nil {
		return err
	}
	who, err := findAccount("/etc", job.User)
	if err != nil {
		return err
	}
	env := job.Env
	if value(env, "HOME") == "" {
		env = append(env, "HOME="+who.home)
	}
	if err := os.MkdirAll(job.Workdir, 0o755); err != nil {
		return err
	}
	if err := os.Chdir(job.Workdir); err != nil {
		return err
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		return err
	}
	if err := syscall.Dup3(int(null.Fd()), 0, 0); err != nil {
		return err
	}
	if err := syscall.Setgroups(who.groups); err != nil {
		return err
	}
	if err := syscall.Setgid(int(who.gid)); err != nil {
		return err
	}
	if err := syscall.Setuid(int(who.uid)); err != nil {
		return err
	}
	syscall.Umask(0o022)
	program, err := find(job.Argv[0], value(env, "PATH"))
	if err != nil {
		return err
	}
	err = syscall.Exec(program, job.Argv, env)
	return fmt.Errorf("%s cannot be executed: %w", program, err)
}

// enterRoot makes the root the file system of this mount namespace.
func enterRoot() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	proc, err := within(rootDir, "/proc")
	if err != nil {
		return err
	}
	if err := syscall.Mount("proc", proc, "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(hostname)); err != nil {
		return err
	}
	// An initramfs cannot be pivoted away from; moving over it is what switch_root(8) does.
	if err := os.Chdir(rootDir); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return err
	}
	if err := syscall.Chroot("."); err != nil {
		return err
	}
	return os.Chdir("/")
}

// find returns the program that a name means, as execvp(3) does.
func find(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		candidate := filepath.Join(dir, name)
		info, err := os.Stat(candidate)
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in PATH %s", name, path)
}

func value(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if key, text, _ := strings.Cut(env[i], "="); key == name {
			return text
		}
	}
	return ""
}

func oomKills() int {
	data, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(data), "\n") {
		if number, ok := strings.CutPrefix(line, "oom_kill "); ok {
			kills, _ := strconv.Atoi(number)
			return kills
		}
	}
	return 0
}
