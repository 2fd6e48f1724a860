package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const (
	app       = "app"
	tailBytes = 1024
	// For an app without a health check to open its port, as vcr/runtime/patience.py has it.
	patienceWithoutCheck = 60 * time.Second
	onLoopback           = "it listens on the loopback of its container only"
	maxHead              = 64 << 10               // bytes of an HTTP answer until its status is there
	probePause           = 200 * time.Millisecond // but where a start interval says when
)

// HealthCheck is vcr/model/health.py's, times in seconds. A probe is a command or an
// HTTP request.
type HealthCheck struct {
	Probe struct {
		Argv []string `json:"argv"`
		Port int      `json:"port"`
		Path string   `json:"path"`
	} `json:"probe"`
	Interval      float64  `json:"interval"`
	Timeout       float64  `json:"timeout"`
	StartPeriod   float64  `json:"start_period"`
	StartInterval *float64 `json:"start_interval"`
	Retries       int      `json:"retries"`
}

// runHealth runs the health command in the app's container; exit code and last output.
func (s *Settings) runHealth(limit time.Duration) (int, []byte) {
	if s.Health == nil || len(s.Health.Probe.Argv) == 0 {
		return 127, []byte("there is no health command\n")
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(limit, time.Second))
	defer cancel()
	words := append([]string{"exec", app}, s.Health.Probe.Argv...)
	command := exec.CommandContext(ctx, crunPath, append(crunArgs, words...)...)
	command.WaitDelay = time.Second
	output, err := command.CombinedOutput()
	if len(output) > tailBytes {
		output = output[len(output)-tailBytes:]
	}
	if err != nil && command.ProcessState == nil {
		return 127, []byte(err.Error())
	}
	code := command.ProcessState.ExitCode()
	if code < 0 {
		code = 137 // as a shell says of SIGKILL
	}
	return code, output
}

// isHealthy probes once, and says why not.
func (s *Settings) isHealthy() (bool, string) {
	switch {
	case s.Health != nil && len(s.Health.Probe.Argv) > 0:
		code, output := s.runHealth(duration(s.Health.Timeout))
		return code == 0, fmt.Sprintf("the health command exits with %d: %s", code, output)
	case s.Health != nil:
		return isOK(s.Health)
	case len(s.Ports) > 0:
		address := fmt.Sprintf("127.0.0.1:%d", s.Ports[0])
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false, err.Error()
		}
		connection.Close()
		return isOpen(s.Ports[0]), onLoopback
	}
	return isSettled(), "the app does not run"
}

// isOK asks over HTTP. net/http would bring TLS and triple the size of this program.
func isOK(check *HealthCheck) (bool, string) {
	address := fmt.Sprintf("127.0.0.1:%d", check.Probe.Port)
	connection, err := net.DialTimeout("tcp", address, duration(check.Timeout))
	if err != nil {
		return false, err.Error()
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(duration(check.Timeout)))
	fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: vcr-health\r\nConnection: close\r\n\r\n",
		check.Probe.Path, address)
	if !isOpen(check.Probe.Port) {
		return false, onLoopback
	}
	status, err := statusOf(bufio.NewReader(io.LimitReader(connection, maxHead)))
	if err != nil {
		return false, err.Error()
	}
	return status >= 200 && status < 400, fmt.Sprintf("GET %s: HTTP %d", check.Probe.Path, status)
}

// statusOf returns the status of the first answer that is not for the time being: RFC 9112,
// section 4. vcr/agent/deadline.py does the same; tests/vectors/http.json tries both.
func statusOf(lines *bufio.Reader) (int, error) {
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return 0, fmt.Errorf("the connection was closed: %w", err)
		}
		status, ok := statusIn(line)
		if !ok {
			return 0, errors.New("the answer is not HTTP")
		}
		if status < 100 || status > 199 {
			return status, nil
		}
		for strings.TrimSpace(line) != "" { // its header
			if line, err = lines.ReadString('\n'); err != nil {
				return 0, fmt.Errorf("the connection was closed: %w", err)
			}
		}
	}
}

// statusIn reads HTTP/1.DIGIT, blanks, three digits, and then a blank or the end of the line.
func statusIn(line string) (int, bool) {
	rest, found := strings.CutPrefix(line, "HTTP/1.")
	if !found || rest[0] < '0' || rest[0] > '9' || rest[1] != ' ' {
		return 0, false
	}
	text := strings.TrimLeft(rest[1:], " ")
	end := strings.IndexAny(text, " \r\n")
	status, err := strconv.ParseUint(text[:end], 10, 16)
	return int(status), err == nil && end == 3
}

// clock tells the time since any moment, and waits.
type clock struct {
	now   func() time.Duration
	sleep func(time.Duration)
}

// untilHealthy probes until the app, which starts now, is healthy; or until it has failed for
// longer than its health check allows. When it probes is as vcr/runtime/patience.py has it;
// tests/vectors/health.json tries both.
func untilHealthy(check *HealthCheck, probe func() (bool, string), c clock) (bool, string) {
	start := c.now()
	c.sleep(startPause(check, 0))
	for {
		begun := c.now() - start
		healthy, why := probe()
		if healthy {
			return true, ""
		}
		now := c.now() - start
		counts := check == nil || begun >= duration(check.StartPeriod)
		if counts && now >= patience(check) {
			return false, why
		}
		if pause := startPause(check, now); pause > 0 {
			c.sleep(pause)
		} else {
			c.sleep(probePause)
		}
	}
}

// patience is how long the app may take.
func patience(check *HealthCheck) time.Duration {
	if check == nil {
		return patienceWithoutCheck
	}
	return duration(check.StartPeriod) + time.Duration(check.Retries)*duration(check.Interval)
}

// startPause is how long a start interval puts off the next probe, now being the time since
// the app's start; 0 if it says nothing.
func startPause(check *HealthCheck, now time.Duration) time.Duration {
	if check == nil || check.StartInterval == nil {
		return 0
	}
	return max(min(duration(*check.StartInterval), duration(check.StartPeriod)-now), 0)
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

const crunPath = "/usr/bin/crun"

var crunArgs = []string{"--root", "/run/crun"}

func crun(words ...string) *exec.Cmd {
	return exec.Command(crunPath, append(append([]string{}, crunArgs...), words...)...)
}
