package main

import (
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// dialer connects to the app, for each of its ports one stream after the other.
type dialer struct {
	address string
	mutex   sync.Mutex
	turns   map[uint16]chan struct{}
}

// newDialer connects to the address that the network leads to: who listens on the loopback only
// is not reached from outside.
func newDialer(address string) *dialer {
	return &dialer{address: address, turns: map[uint16]chan struct{}{}}
}

func (d *dialer) turn(port uint16) chan struct{} {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.turns[port] == nil {
		d.turns[port] = make(chan struct{}, 1)
	}
	return d.turns[port]
}

// dial tries until there is a place in the app's backlog. The kernel alone would ask again after
// one second, then two, then four, each time for all that wait.
func (d *dialer) dial(port uint16, isOver func() bool) (*net.TCPConn, error) {
	turn := d.turn(port)
	for end := time.Now().Add(toConnect); time.Now().Before(end) && !isOver(); {
		turn <- struct{}{}
		fd, err := connect(d.address, port)
		if err == syscall.EINPROGRESS {
			time.Sleep(tryPause)
		}
		<-turn
		switch err {
		case nil:
			return tcpOf(fd)
		case syscall.EINPROGRESS:
		default:
			return nil, err
		}
	}
	return nil, syscall.ETIMEDOUT
}

// connect asks once; EINPROGRESS if nobody answers at once, as the own kernel does otherwise.
func connect(address string, port uint16) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	to := &syscall.SockaddrInet4{Port: int(port), Addr: [4]byte(net.ParseIP(address).To4())}
	err = syscall.Connect(fd, to)
	for tries := 0; err == syscall.EINPROGRESS && tries < 3; tries++ {
		if code, _ := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR); code != 0 {
			err = syscall.Errno(code)
		} else if _, unknown := syscall.Getpeername(fd); unknown == nil {
			err = nil
		} else {
			time.Sleep(time.Millisecond)
		}
	}
	if err != nil {
		syscall.Close(fd)
	}
	return fd, err
}

func tcpOf(fd int) (*net.TCPConn, error) {
	file := os.NewFile(uintptr(fd), "app")
	defer file.Close()
	connection, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return connection.(*net.TCPConn), nil
}

// ownAddress is that of the kernel's command line.
func ownAddress() string {
	line, _ := os.ReadFile("/proc/cmdline")
	for _, word := range strings.Fields(string(line)) {
		if value, ok := strings.CutPrefix(word, "vcr.ip="); ok {
			address, _, _ := strings.Cut(value, "/")
			return address
		}
	}
	return "127.0.0.1"
}
