package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"sort"
	"strings"
)

// Marks between the parts of a stack: PERF_CONTEXT_KERNEL and _USER of linux/perf_event.h, and
// the number from which on it is a mark and no address.
const (
	markKernel = ^uint64(128 - 1)
	markUser   = ^uint64(512 - 1)
	firstMark  = ^uint64(4095 - 1)
)

// counts is what was seen since the last report.
type counts struct {
	processes *processes
	onlyApp   bool
	self      uint32
	samples   int
	lost      uint64
	stacks    map[string]*Stack
}

func newCounts(processes *processes, onlyApp bool) *counts {
	return &counts{processes: processes, onlyApp: onlyApp, self: uint32(os.Getpid()), stacks: map[string]*Stack{}}
}

// least is how many bytes a record of a kind has, before what is of any length.
var least = map[uint32]int{recordLost: 16, recordComm: 8, recordFork: 12, recordMmap2: 64, recordSample: 16}

// take counts a sample, or learns from a record what processes do.
func (c *counts) take(kind uint32, misc uint16, body []byte) {
	if len(body) < least[kind] {
		return
	}
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(body[at:]) }
	long := func(at int) uint64 { return binary.NativeEndian.Uint64(body[at:]) }
	switch kind {
	case recordLost:
		c.lost += long(8)
	case recordComm:
		if pid := word(0); pid == word(4) { // a thread's name is its own
			c.processes.named(pid, text(body[8:]), misc&miscExec != 0)
		}
	case recordFork:
		if pid := word(0); pid == word(8) { // a new process, not a thread
			c.processes.forked(pid, word(4))
		}
	case recordMmap2:
		const executable = 4 // PROT_EXEC
		if word(56)&executable != 0 {
			c.processes.mapped(word(0), mapping{long(8), long(8) + long(16), long(24), text(body[64:])})
		}
	case recordSample:
		if long(8) > uint64(len(body)-16)/8 {
			return
		}
		chain := make([]uint64, long(8))
		for i := range chain {
			chain[i] = long(16 + 8*i)
		}
		c.sample(word(0), chain)
	}
}

func (c *counts) sample(pid uint32, chain []uint64) {
	if pid == c.self {
		return
	}
	process := c.processes.of(pid)
	if c.onlyApp && !process.isApp {
		return
	}
	c.samples++
	frames := c.frames(process, chain)
	key := process.name + "\n" + strings.Join(frames, "\n")
	if c.stacks[key] == nil {
		c.stacks[key] = &Stack{Process: process.name, Frames: frames}
	}
	c.stacks[key].Count++
}

// frames names a chain of addresses, innermost first, and turns it round.
func (c *counts) frames(process *process, chain []uint64) []string {
	frames := []string{}
	inKernel, isCaller := false, false
	for _, address := range chain {
		if address >= firstMark {
			inKernel, isCaller = address == markKernel, false
			continue
		}
		isFirst := !isCaller
		if isCaller {
			address-- // from where it returns to into the call
		}
		isCaller = true
		if inKernel {
			frames = append(frames, fmt.Sprintf("kernel`%#x", address))
			continue
		}
		name, ok := c.processes.symbol(process, address)
		if !ok && !isFirst {
			break // a program without frame pointers: from here on it is rubbish
		}
		frames = append(frames, name)
	}
	for i, j := 0, len(frames)-1; i < j; i, j = i+1, j-1 {
		frames[i], frames[j] = frames[j], frames[i]
	}
	return frames
}

// report returns what was counted, the most frequent first, and begins anew.
func (c *counts) report(seconds float64) Report {
	report := Report{Seconds: seconds, Samples: c.samples, Lost: c.lost, Stacks: []Stack{}}
	for _, stack := range c.stacks {
		report.Stacks = append(report.Stacks, *stack)
	}
	sort.Slice(report.Stacks, func(i, j int) bool { return report.Stacks[i].Count > report.Stacks[j].Count })
	c.samples, c.lost, c.stacks = 0, 0, map[string]*Stack{}
	return report
}

// text returns a string that ends with a zero byte.
func text(data []byte) string {
	before, _, _ := strings.Cut(string(data), "\x00")
	return before
}
