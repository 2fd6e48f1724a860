package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// linux/perf_event.h and perf_event_open(2).
const (
	typeSoftware   = 1
	configCPUClock = 0
	sampleTID      = 1 << 1
	sampleChain    = 1 << 5
	flagIdle       = 1 << 7 // exclude_idle
	flagMmap       = 1 << 8
	flagComm       = 1 << 9
	flagFrequency  = 1 << 10
	flagTask       = 1 << 13
	flagMmap2      = 1 << 23
	flagCommExec   = 1 << 24
	openCloseExec  = 1 << 3 // PERF_FLAG_FD_CLOEXEC
	attrSize       = 64     // PERF_ATTR_SIZE_VER0
	headAt         = 1024   // of struct perf_event_mmap_page
	tailAt         = 1032
	ringPages      = 256 // a power of two: 1 MiB a CPU, seconds of deep stacks
)

// Types of records.
const (
	recordLost   = 2
	recordComm   = 3
	recordFork   = 7
	recordSample = 9
	recordMmap2  = 10
	miscExec     = 1 << 13 // of recordComm: the process began another program
)

type attr struct {
	kind, size                          uint32
	config, frequency, sampled, reading uint64
	flags                               uint64
	wakeup, breakpoint                  uint32
	config1                             uint64
}

// ring is what the kernel writes samples of one CPU to.
type ring struct {
	memory []byte
	data   []byte
}

// openRings starts sampling on every CPU.
func openRings(frequency uint64) ([]*ring, error) {
	cpus, err := onlineCPUs()
	if err != nil {
		return nil, err
	}
	var rings []*ring
	for _, cpu := range cpus {
		ring, err := openRing(cpu, frequency)
		if err != nil {
			return nil, fmt.Errorf("perf_event_open: %w", err)
		}
		rings = append(rings, ring)
	}
	return rings, nil
}

func openRing(cpu int, frequency uint64) (*ring, error) {
	a := attr{
		kind: typeSoftware, size: attrSize, config: configCPUClock,
		frequency: frequency, sampled: sampleTID | sampleChain,
		flags: flagIdle | flagMmap | flagComm | flagFrequency | flagTask | flagMmap2 | flagCommExec,
	}
	everyProcess, noGroup := ^uintptr(0), ^uintptr(0)
	fd, _, errno := syscall.Syscall6(sysPerfEventOpen, uintptr(unsafe.Pointer(&a)), everyProcess,
		uintptr(cpu), noGroup, openCloseExec, 0)
	if errno != 0 {
		return nil, errno
	}
	page := os.Getpagesize()
	memory, err := syscall.Mmap(int(fd), 0, (1+ringPages)*page,
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &ring{memory, memory[page:]}, nil
}

// read gives every new record to take: its type, its misc and what follows its header.
func (r *ring) read(take func(kind uint32, misc uint16, body []byte)) {
	head := atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.memory[headAt])))
	tail := (*uint64)(unsafe.Pointer(&r.memory[tailAt]))
	at := *tail
	for at < head {
		header := r.copy(at, 8)
		size := uint64(binary.NativeEndian.Uint16(header[6:]))
		if size < 8 {
			break
		}
		take(binary.NativeEndian.Uint32(header), binary.NativeEndian.Uint16(header[4:]), r.copy(at+8, size-8))
		at += size
	}
	atomic.StoreUint64(tail, at)
}

func (r *ring) copy(at, size uint64) []byte {
	out := make([]byte, size)
	begin := at % uint64(len(r.data))
	copied := copy(out, r.data[begin:])
	copy(out[copied:], r.data)
	return out
}

// onlineCPUs reads a list like "0-3,5".
func onlineCPUs() ([]int, error) {
	text, err := os.ReadFile(filepath.Join("/sys/devices/system/cpu", "online"))
	if err != nil {
		return nil, err
	}
	var cpus []int
	for _, part := range strings.Split(strings.TrimSpace(string(text)), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		if err != nil {
			return nil, err
		}
		to, err := strconv.Atoi(last)
		if err != nil {
			return nil, err
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}
