package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// The test device of QEMU's riscv `virt` machine: a write of finisherReset asks for a
// reset, which QEMU is told to take for a pause.
// https://www.qemu.org/docs/master/system/riscv/virt.html, hw/misc/sifive_test.c
const (
	finisherAddress = 0x100000
	finisherReset   = 0x7777
)

// Requests of random(4): linux/random.h.
const (
	rndAddEntropy = 0x40085203
	rndReseedCRNG = 0x5207
)

// snapshot waits until the app is healthy, says so to the host and stops the machine at
// that moment.
func snapshot(settings *Settings, host io.Writer) {
	awaitHealth(settings, host)
	fmt.Fprintln(host, "healthy")
	if err := freeze(); err != nil {
		die(err)
	}
}

// awaitHealth returns when the app is healthy. One that takes too long ends the machine.
func awaitHealth(settings *Settings, host io.Writer) {
	start := time.Now()
	own := clock{func() time.Duration { return time.Since(start) }, time.Sleep}
	if healthy, why := untilHealthy(settings.Health, settings.isHealthy, own); !healthy {
		fmt.Fprintln(host, factsMark+factsLine())
		fmt.Fprintf(host, "unhealthy %s\n", strings.Join(strings.Fields(why), " "))
		powerOff()
	}
}

// freeze stops the machine; it returns when the machine was restored.
func freeze() error {
	memory, err := os.OpenFile("/dev/mem", os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	page, err := syscall.Mmap(int(memory.Fd()), finisherAddress, os.Getpagesize(),
		syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mapping the test device: %w", err)
	}
	*(*uint32)(unsafe.Pointer(&page[0])) = finisherReset
	return syscall.Munmap(page)
}

// resume gives a restored machine what a snapshot cannot have: the time, entropy that
// nobody else knows, and only then a network.
func resume(now, seed string) error {
	seconds, err := strconv.ParseInt(now, 10, 64)
	if err != nil {
		return err
	}
	entropy, err := base64.StdEncoding.DecodeString(seed)
	if err != nil {
		return err
	}
	if err := wake(seconds, entropy); err != nil {
		return err
	}
	if output, err := exec.Command("/etc/vcr/network").CombinedOutput(); err != nil {
		return fmt.Errorf("setting up the network: %w: %s", err, output)
	}
	startRelay.Do(func() { go serveRelay() })
	return nil
}

// wake sets the clock and the random number generator, and says that it has.
func wake(seconds int64, entropy []byte) error {
	if err := addEntropy(entropy); err != nil {
		return err
	}
	value := syscall.Timeval{Sec: seconds}
	if err := syscall.Settimeofday(&value); err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	markAwake()
	return nil
}

// addEntropy credits it in full and has the kernel's generator start anew from it.
func addEntropy(entropy []byte) error {
	device, err := os.OpenFile("/dev/urandom", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer device.Close()
	// struct rand_pool_info: bits, bytes, the bytes
	info := make([]byte, 8, 8+len(entropy))
	binary.NativeEndian.PutUint32(info, uint32(8*len(entropy)))
	binary.NativeEndian.PutUint32(info[4:], uint32(len(entropy)))
	info = append(info, entropy...)
	for _, call := range []struct{ request, argument uintptr }{
		{rndAddEntropy, uintptr(unsafe.Pointer(&info[0]))}, {rndReseedCRNG, 0},
	} {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, device.Fd(), call.request, call.argument)
		if errno != 0 {
			return fmt.Errorf("adding entropy: %w", errno)
		}
	}
	return nil
}
