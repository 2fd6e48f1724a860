package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What is seen of an app that died, or that is not healthy: vcr/diagnosis/facts.py reads it, and
// has the words for it. The script `services` prints those of an app that has ended to the console;
// the host asks for those of one that runs, or gets them before a snapshot that fails.

const (
	factsMark    = "vcr: facts "
	bundle       = "/containers/services/app"
	crunStatus   = "/run/crun/app/status"
	listening    = "0A" // include/net/tcp_states.h
	forkNoExec   = 0x40 // PF_FORKNOEXEC of include/linux/sched.h
	ticks        = 100  // USER_HZ, in a second
	settledTime  = time.Second
	maxListeners = 64
	maxKilled    = 8
	mebi         = 1024 // KiB
)

// Facts are in the form that the host reads.
type Facts struct {
	Exit         *int     `json:"exit"`
	Program      *Program `json:"program"`
	OOM          int      `json:"oom"`
	Killed       []string `json:"killed"`
	MemoryMiB    int      `json:"memory_mib"`
	AvailableMiB int      `json:"available_mib"`
	ReadOnly     bool     `json:"read_only"`
	User         int      `json:"user"`
	Listens      [][2]any `json:"listens"`
	CPUMs        int      `json:"cpu_ms"`
}

// bundleConfig is what this needs of a bundle's config.json.
type bundleConfig struct {
	Process struct {
		Args []string `json:"args"`
		Env  []string `json:"env"`
		Cwd  string   `json:"cwd"`
		User struct {
			UID    int   `json:"uid"`
			GID    int   `json:"gid"`
			Groups []int `json:"additionalGids"`
		} `json:"user"`
	} `json:"process"`
	Root struct {
		ReadOnly bool `json:"readonly"`
	} `json:"root"`
	Mounts []struct {
		Destination string `json:"destination"`
	} `json:"mounts"`
}

// systemMounts are everywhere, with no programs in them.
var systemMounts = []string{
	"/proc", "/dev", "/sys", "/run/vcr", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf",
}

// factsLine is all that can be seen now, on one line.
func factsLine() string {
	facts := Facts{Listens: [][2]any{}}
	var config bundleConfig
	if data, err := os.ReadFile(bundle + "/config.json"); err == nil {
		_ = json.Unmarshal(data, &config)
	}
	facts.ReadOnly, facts.User = config.Root.ReadOnly, config.Process.User.UID
	if code, ended := exitCode(); ended {
		facts.Exit = &code
		if code != 0 {
			facts.Program = whyNot(bundle+"/rootfs", config.command(code), ownArchitecture())
		}
	}
	facts.OOM = numberIn("/proc/vmstat", "oom_kill")
	if facts.OOM > 0 {
		facts.Killed = killed()
	}
	facts.MemoryMiB = numberIn("/proc/meminfo", "MemTotal:") / mebi
	facts.AvailableMiB = numberIn("/proc/meminfo", "MemAvailable:") / mebi
	for _, each := range listeners() {
		facts.Listens = append(facts.Listens, [2]any{each.address, each.port})
	}
	facts.CPUMs = cpuTime()
	line, err := json.Marshal(facts)
	if err != nil {
		return "{}"
	}
	return string(line)
}

func (c *bundleConfig) command(code int) *Command {
	user := c.Process.User
	command := &Command{
		Argv: c.Process.Args, Env: c.Process.Env, Cwd: c.Process.Cwd, User: user.UID,
		Groups: append([]int{user.GID}, user.Groups...), Code: code,
	}
	for _, mount := range c.Mounts {
		if !slices.Contains(systemMounts, mount.Destination) {
			command.Covered = append(command.Covered, mount.Destination)
		}
	}
	return command
}

// exitCode is the app's, and whether it has ended.
func exitCode() (int, bool) {
	text, err := os.ReadFile(exitFile)
	if err != nil {
		return 0, false
	}
	code, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return code, err == nil
}

// isSettled says whether the app is a program that has run for a moment.
func isSettled() bool {
	var status struct {
		PID int `json:"pid"`
	}
	data, err := os.ReadFile(crunStatus)
	if err != nil || json.Unmarshal(data, &status) != nil {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", status.PID))
	uptime, _ := os.ReadFile("/proc/uptime")
	return err == nil && settled(string(text), string(uptime))
}

func settled(status, uptime string) bool {
	fields := statFields(status)
	now, err := strconv.ParseFloat(strings.Split(uptime+" ", " ")[0], 64)
	if fields == nil || err != nil || fields[0] == "Z" || fields[0] == "X" {
		return false
	}
	flags, _ := strconv.Atoi(fields[6])
	started, err := strconv.ParseFloat(fields[19], 64)
	return err == nil && flags&forkNoExec == 0 && duration(now-started/ticks) >= settledTime
}

// statFields are those of /proc/PID/stat behind the name: proc_pid_stat(5).
func statFields(status string) []string {
	fields := strings.Fields(status[strings.LastIndex(status, ")")+1:])
	if len(fields) < 20 {
		return nil
	}
	return fields
}

// cpuTime is what all other processes have used, in milliseconds.
func cpuTime() int {
	sum := 0
	entries, _ := filepath.Glob("/proc/[1-9]*/stat")
	for _, entry := range entries {
		text, _ := os.ReadFile(entry)
		if fields := statFields(string(text)); fields != nil && entry != fmt.Sprintf("/proc/%d/stat", os.Getpid()) {
			for _, field := range fields[11:15] {
				number, _ := strconv.Atoi(field)
				sum += number
			}
		}
	}
	return sum * 1000 / ticks
}

// numberIn is the number that a file of /proc has on the line of a name, 0 for none.
func numberIn(path, name string) int {
	data, _ := os.ReadFile(path)
	for _, line := range strings.Split(string(data), "\n") {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			number, _ := strconv.Atoi(fields[1])
			return number
		}
	}
	return 0
}

// killed are names of processes that the kernel says it has ended for want of memory.
func killed() []string {
	log, err := syscall.Open("/dev/kmsg", syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer syscall.Close(log)
	var found []string
	record := make([]byte, 8192)
	for {
		size, err := syscall.Read(log, record)
		if err == syscall.EPIPE {
			continue // records were lost
		}
		if err != nil || size <= 0 || len(found) == maxKilled {
			return found
		}
		if name, ok := killedIn(string(record[:size])); ok {
			found = append(found, shortened(name))
		}
	}
}

// killedIn is the name in a record of __oom_kill_process of mm/oom_kill.c.
func killedIn(record string) (string, bool) {
	_, rest, found := strings.Cut(record, ": Killed process ")
	name := strings.LastIndex(rest, ") total-vm:")
	begin := strings.Index(rest, " (")
	if !found || begin < 0 || name < begin+2 {
		return "", false
	}
	return rest[begin+2 : name], true
}

// listener is a TCP socket that waits for connections.
type listener struct {
	address string
	port    int
}

func (l listener) isLoopback() bool { return net.ParseIP(l.address).IsLoopback() }

func listeners() []listener {
	var found []listener
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, _ := os.ReadFile(table)
		found = append(found, parseListeners(string(data))...)
	}
	return found[:min(len(found), maxListeners)]
}

// parseListeners reads a table of proc_pid_net(5), as vcr/diagnosis/sockets.py does;
// tests/vectors/listeners.json tries both.
func parseListeners(table string) []listener {
	var found []listener
	for number, row := range strings.Split(table, "\n") {
		fields := strings.Fields(row)
		if number == 0 || len(fields) < 4 || fields[3] != listening {
			continue
		}
		text, digits, _ := strings.Cut(fields[1], ":")
		data, err := hex.DecodeString(text)
		port, noPort := strconv.ParseUint(digits, 16, 16)
		if err != nil || noPort != nil || len(data) != net.IPv4len && len(data) != net.IPv6len {
			continue
		}
		for word := range slices.Chunk(data, 4) { // in the CPU's byte order
			slices.Reverse(word)
		}
		each := listener{net.IP(data).String(), int(port)}
		if !slices.Contains(found, each) {
			found = append(found, each)
		}
	}
	slices.SortFunc(found, func(a, b listener) int {
		if a.port != b.port {
			return a.port - b.port
		}
		return bytes.Compare([]byte(a.address), []byte(b.address))
	})
	return found
}

// isOpen says whether others than the container itself reach the port.
func isOpen(port int) bool {
	return slices.ContainsFunc(listeners(), func(l listener) bool {
		return l.port == port && !l.isLoopback()
	})
}
