package main

import (
	"bufio"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	startTime  = 120 * time.Second // for QEMU to load a snapshot
	resumeTime = 60 * time.Second
	extraTime  = 10 * time.Second
	stateFile  = "state"
	describing = "machine.json"
	logFile    = "app.log"
)

// Restore is what vcr/sandbox/enclave_ramdisk.py writes: how QEMU is started. `{memory}` and
// `{clock}` in its argv are the snapshot's own. The others are sockets that QEMU makes, and
// what the kernel of the enclave was told.
type Restore struct {
	Argv        []string `json:"argv"`
	Agent       string   `json:"agent"`
	Door        string   `json:"door"`
	Relay       string   `json:"relay"`
	Monitor     string   `json:"monitor"`
	CommandLine string   `json:"cmdline"`
}

// Description is what machine.json on the drive says of a snapshot.
type Description struct {
	MemoryMiB int      `json:"memory_mib"`
	Epoch     int64    `json:"epoch"`
	Ports     []uint16 `json:"ports"` // that the app exposes; no other is reached
}

// machine is the one that goes on from the snapshot on the drive.
type machine struct {
	restore  *Restore
	exposed  []uint16
	ended    chan error
	monitor  net.Conn
	lines    *bufio.Reader
	relay    *relay
	agentUse sync.Mutex
}

func readRestore(path string) (*Restore, error) {
	restore := &Restore{}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, restore)
	}
	return restore, err
}

func startMachine(restore *Restore) (*machine, error) {
	data, err := os.ReadFile(filepath.Join(driveDir, describing))
	if err != nil {
		return nil, err
	}
	made, err := readDescription(data)
	if err != nil {
		return nil, err
	}
	m := &machine{
		restore: restore,
		exposed: made.Ports,
		ended:   make(chan error, 1),
	}
	argv := made.fillIn(restore.Argv)
	command := exec.Command(argv[0], argv[1:]...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	printed := &console{to: os.Stderr}
	if err := printed.repeat(filepath.Join(driveDir, logFile)); err != nil {
		return nil, err
	}
	if err := printed.start(command); err != nil {
		return nil, err
	}
	go func() {
		err := command.Wait()
		printed.drain()
		m.ended <- err
	}()
	return m, m.load(filepath.Join(driveDir, stateFile))
}

func readDescription(data []byte) (*Description, error) {
	made := &Description{}
	if err := json.Unmarshal(data, made); err != nil {
		return nil, err
	}
	if made.MemoryMiB <= 0 || made.Ports == nil {
		return nil, errors.New("the drive does not describe a machine")
	}
	return made, nil
}

// fillIn puts what is a snapshot's own into an argv.
func (d *Description) fillIn(argv []string) []string {
	words := strings.NewReplacer("{memory}", strconv.Itoa(d.MemoryMiB),
		"{clock}", time.Unix(d.Epoch, 0).UTC().Format("2006-01-02T15:04:05"))
	var filled []string
	for _, word := range argv {
		filled = append(filled, words.Replace(word))
	}
	return filled
}

// load has QEMU go on from a state: https://www.qemu.org/docs/master/interop/qmp-spec.html.
func (m *machine) load(state string) error {
	if err := m.connectMonitor(); err != nil {
		return fmt.Errorf("QEMU does not answer: %w", err)
	}
	capability := map[string]any{"capability": "x-ignore-shared", "state": true}
	for _, step := range []struct {
		name      string
		arguments map[string]any
	}{
		{"qmp_capabilities", nil},
		{"migrate-set-capabilities", map[string]any{"capabilities": []any{capability}}},
		{"migrate-incoming", map[string]any{"uri": "file:" + state}},
	} {
		if _, err := m.command(step.name, step.arguments); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(pause) {
		answer, err := m.command("query-migrate", nil)
		if err != nil {
			return err
		}
		var status struct {
			Status string `json:"status"`
		}
		if err := json.Unmarshal(answer, &status); err != nil {
			return err
		}
		switch status.Status {
		case "completed":
			return nil
		case "failed", "cancelled":
			return fmt.Errorf("QEMU cannot load its state: %s", answer)
		}
	}
	return errors.New("QEMU takes too long to load its state")
}

func (m *machine) connectMonitor() error {
	for deadline := time.Now().Add(startTime); ; time.Sleep(pause) {
		monitor, err := net.Dial("unix", m.restore.Monitor)
		if err == nil {
			m.monitor, m.lines = monitor, bufio.NewReaderSize(monitor, maxAnswer)
			_ = monitor.SetDeadline(time.Now().Add(startTime))
			_, err = readLine(m.lines) // the greeting
			return err
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// command carries one out; what QEMU says without being asked is skipped.
func (m *machine) command(name string, arguments map[string]any) (json.RawMessage, error) {
	request := map[string]any{"execute": name}
	if arguments != nil {
		request["arguments"] = arguments
	}
	_ = m.monitor.SetDeadline(time.Now().Add(startTime))
	if err := json.NewEncoder(m.monitor).Encode(request); err != nil {
		return nil, err
	}
	for {
		line, err := readLine(m.lines)
		if err != nil {
			return nil, err
		}
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(line, &answer); err != nil {
			return nil, err
		}
		if answer.Error != nil {
			return nil, fmt.Errorf("QEMU refuses %s: %s", name, answer.Error)
		}
		if answer.Return != nil {
			return answer.Return, nil
		}
	}
}

// resume gives the machine what no snapshot has: the time, and entropy that nobody knows.
func (m *machine) resume(module *nsm) error {
	random, err := module.random()
	if err != nil {
		return err
	}
	own := make([]byte, sha512.Size)
	if _, err := rand.Read(own); err != nil {
		return err
	}
	seed := sha512.Sum512(append(random, own...))
	now, err := module.now()
	if err != nil {
		return err
	}
	request := fmt.Sprintf("resume %d %s", now.Unix(), base64.StdEncoding.EncodeToString(seed[:]))
	deadline := time.Now().Add(resumeTime)
	for {
		answer, err := m.ask(request, time.Until(deadline))
		if err == nil && answer != "resumed" {
			err = errors.New(answer)
			return fmt.Errorf("the machine cannot continue: %w", err)
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the machine does not continue: %w", err)
		}
		time.Sleep(pause)
	}
}

// ask sends the machine's agent a line and returns its answer; guest/agent has the other end.
func (m *machine) ask(request string, limit time.Duration) (string, error) {
	m.agentUse.Lock()
	defer m.agentUse.Unlock()
	agent, err := net.Dial("unix", m.restore.Agent)
	if err != nil {
		return "", err
	}
	defer agent.Close()
	_ = agent.SetDeadline(time.Now().Add(limit))
	if _, err := fmt.Fprintln(agent, request); err != nil {
		return "", err
	}
	line, err := readLine(bufio.NewReaderSize(agent, maxAnswer))
	return strings.TrimSpace(string(line)), err
}
