// Command agent answers the host about the app in this machine, over a virtio-serial port:
// one line in, one line out.
//
//	ping                    pong
//	state                   starting | running | exited CODE
//	facts                   facts JSON, as facts.go has it
//	health SECONDS          health CODE BASE64-OF-THE-LAST-OUTPUT
//	stop SECONDS            stopping; the app gets its stop signal and, after SECONDS, SIGKILL
//	resume SECONDS BASE64   resumed; the time (since 1970) and entropy, after a snapshot
//
// On a machine that is to become a snapshot it also waits for the app's health, says
// "healthy" without being asked, and stops the machine until somebody restores it.
//
// `agent facts` prints what it sees of the app, and ends.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	portName     = "vcr.agent"
	settingsFile = "/etc/vcr/machine.json"
	exitFile     = "/run/vcr/exit" // written by the script `services`
	snapshotWord = "vcr.snapshot"  // on the kernel's command line
	idle         = 50 * time.Millisecond
)

// Settings is what the image and vcr.toml say about the app.
type Settings struct {
	Health     *HealthCheck `json:"health"`
	Ports      []int        `json:"ports"`
	StopSignal string       `json:"stop_signal"`
}

// alsoServe is what a debug profile has besides.
var alsoServe = func() {}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "facts" {
		fmt.Println(factsMark + factsLine())
		return
	}
	settings := &Settings{}
	data, err := os.ReadFile(settingsFile)
	if err == nil {
		err = json.Unmarshal(data, settings)
	}
	if err != nil {
		die(err)
	}
	go alsoServe()
	go serveDoor()
	if _, err := os.Stat(cmioDevice); err == nil {
		serveCmio(settings)
	}
	isSnapshot := hasWord(snapshotWord) && !isAwake()
	if !isSnapshot {
		markAwake() // others are by what they get when they go on
		startRelay.Do(func() { go serveRelay() })
	}
	device, err := portDevice(portName)
	if err != nil {
		select {} // nobody asks on this machine
	}
	// A port can be opened once, so for both directions; reads block a thread.
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		die(err)
	}
	port := os.NewFile(uintptr(fd), device)
	if isSnapshot {
		go snapshot(settings, port)
	}
	for {
		// A read ends at once while nobody is connected.
		for lines := bufio.NewScanner(port); lines.Scan(); {
			fmt.Fprintln(port, answer(settings, lines.Text()))
		}
		time.Sleep(idle)
	}
}

func serveCmio(settings *Settings) {
	awaitHealth(settings, os.Stderr)
	channel, err := openCmio()
	if err == nil {
		err = channel.serve(settings)
	}
	die(err)
}

// order is a line of the host, taken apart.
type order struct {
	do    string
	grace time.Duration // of health and stop: the seconds
	words []string      // of resume
}

// parseOrder reads a line as vcr/agent/server.py does; one of another form is of no kind.
func parseOrder(line string) order {
	words := strings.Fields(line)
	switch {
	case len(words) == 1 && (words[0] == "ping" || words[0] == "state" || words[0] == "facts"):
		return order{do: words[0]}
	case len(words) == 2 && (words[0] == "health" || words[0] == "stop"):
		if grace, ok := seconds(words[1]); ok {
			return order{do: words[0], grace: grace}
		}
	case len(words) == 3 && words[0] == "resume":
		return order{do: words[0], words: words[1:]}
	}
	return order{}
}

func answer(settings *Settings, line string) string {
	switch request := parseOrder(line); request.do {
	case "ping":
		return "pong"
	case "state":
		return state()
	case "facts":
		return "facts " + factsLine()
	case "health":
		code, output := settings.runHealth(request.grace)
		return fmt.Sprintf("health %d %s", code, base64.StdEncoding.EncodeToString(output))
	case "stop":
		return stop(settings, request.grace)
	case "resume":
		if err := resume(request.words[0], request.words[1]); err != nil {
			return "error " + err.Error()
		}
		return "resumed"
	}
	return "error unknown request"
}

func state() string {
	switch code, ended := exitCode(); {
	case ended:
		return fmt.Sprintf("exited %d", code)
	case isSettled():
		return "running"
	}
	return "starting"
}

func stop(settings *Settings, grace time.Duration) string {
	if crun("kill", app, settings.StopSignal).Run() != nil {
		powerOff()
	}
	time.AfterFunc(grace, func() { _ = crun("kill", app, "KILL").Run() })
	return "stopping"
}

// seconds reads a whole number of at most nine digits, and no sign.
func seconds(text string) (time.Duration, bool) {
	number, err := strconv.ParseUint(text, 10, 64)
	return time.Duration(number) * time.Second, err == nil && len(text) <= 9
}

func hasWord(wanted string) bool {
	line, _ := os.ReadFile("/proc/cmdline")
	for _, word := range strings.Fields(string(line)) {
		if word == wanted {
			return true
		}
	}
	return false
}

func portDevice(name string) (string, error) {
	entries, _ := filepath.Glob("/sys/class/virtio-ports/*")
	for _, entry := range entries {
		got, err := os.ReadFile(filepath.Join(entry, "name"))
		if err == nil && strings.TrimSpace(string(got)) == name {
			return "/dev/" + filepath.Base(entry), nil
		}
	}
	return "", fmt.Errorf("there is no port %s", name)
}

// say prints to the console, for whoever builds the machine.
func say(format string, words ...any) {
	console, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err == nil {
		fmt.Fprintf(console, "vcr: "+format+"\n", words...)
		console.Close()
	}
}

func die(err error) {
	say("FATAL %v", err)
	powerOff()
}

func powerOff() {
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}
