// Command sampler says what the CPUs of this machine execute: it asks Linux for stacks at even
// intervals (perf_event_open(2)) and prints, once an interval, one line of JSON:
//
//	{"seconds": 1.0, "samples": 99, "lost": 0, "stacks": [
//	  {"process": "python3", "count": 3, "frames": ["libc.so.6`read", "kernel`0xffffffff80012345"]}]}
//
// Frames are outermost first, OBJECT`SYMBOL. Symbols of programs are those of their ELF files;
// the kernel's are left to the host, which has its System.map. An idle CPU is not sampled.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

const pause = 50 * time.Millisecond // between looks at the rings; a process is to be alive still

// Report is what is printed of an interval.
type Report struct {
	Seconds float64 `json:"seconds"`
	Samples int     `json:"samples"`
	Lost    uint64  `json:"lost"`
	Stacks  []Stack `json:"stacks"`
}

// Stack is a stack of a process and how often it was seen.
type Stack struct {
	Process string   `json:"process"`
	Count   int      `json:"count"`
	Frames  []string `json:"frames"`
}

func main() {
	frequency := flag.Uint64("frequency", 99, "samples a second")
	seconds := flag.Float64("seconds", 0, "how long; 0: until somebody ends this")
	every := flag.Float64("every", 1, "seconds of an interval")
	onlyApp := flag.Bool("app", false, "only processes in the app's container")
	flag.Parse()
	if err := sample(*frequency, *seconds, *every, *onlyApp); err != nil {
		fmt.Fprintln(os.Stderr, "sampler:", err)
		os.Exit(1)
	}
}

func sample(frequency uint64, seconds, every float64, onlyApp bool) error {
	rings, err := openRings(frequency)
	if err != nil {
		return err
	}
	processes := newProcesses()
	counts := newCounts(processes, onlyApp)
	out := json.NewEncoder(os.Stdout)
	start := time.Now()
	last := start
	for done := false; !done; {
		time.Sleep(pause)
		for _, ring := range rings {
			ring.read(counts.take)
		}
		now := time.Now()
		done = seconds > 0 && now.Sub(start).Seconds() >= seconds
		if !done && now.Sub(last).Seconds() < every {
			continue
		}
		if err := out.Encode(counts.report(now.Sub(last).Seconds())); err != nil {
			return err
		}
		last = now
	}
	return nil
}
