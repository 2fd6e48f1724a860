package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// The app's door to the security module of the enclave around this machine. Any process of
// the app connects to the socket, which its container sees as /run/vcr/attest.sock, and says a
// line of JSON; bytes are base64:
//
//	{"user_data": "…", "nonce": "…"}   each of at most 64 bytes, each may be left out
//	{"document": "…"}                  or {"error": "…"}
//
// guest/loader gets it through a port of its own and puts user_data under the app's domain.
// Beside the socket a file, awake, appears when this machine has entropy and a time that no
// snapshot has: what is secret is made after that.
const (
	doorPort   = "vcr.attest"
	doorDir    = "/run/vcr/door" // made by the script `boot`
	doorSocket = doorDir + "/attest.sock"
	awakeFile  = doorDir + "/awake"

	doorClients = 16
	doorIdle    = 60 * time.Second // that a client may say nothing
	doorTime    = 60 * time.Second // that the enclave has for an answer
	maxData     = 64               // bytes of user_data; of nonce
	maxDoorLine = 1 << 10          // of a request
	maxDocument = 64 << 10         // of an answer's line
)

var (
	errNoEnclave = errors.New("there is no enclave around this machine, so nobody signs a document: " +
		"the profile prod has one, with vcr up --enclave or on Nitro")
	errTooLong = fmt.Errorf("a request has at most %d bytes", maxDoorLine)
	errAsleep  = errors.New("this machine has not continued from its snapshot yet: " +
		"wait until /run/vcr/awake exists")
)

// attestation is what a process of the app asks for.
type attestation struct {
	ID       uint64 `json:"id,omitempty"` // ours, to tell answers apart
	UserData []byte `json:"user_data,omitempty"`
	Nonce    []byte `json:"nonce,omitempty"`
}

// attested is what it gets.
type attested struct {
	ID       uint64 `json:"id,omitempty"`
	Document []byte `json:"document,omitempty"`
	Error    string `json:"error,omitempty"`
}

// door passes requests on, one at a time.
type door struct {
	find  func() (string, error) // the device of the port
	awake string                 // the file
	mutex sync.Mutex
	port  *os.File
	lines *bufio.Reader
	last  uint64
}

// serveDoor answers whoever connects to the door.
func serveDoor() {
	d := &door{find: func() (string, error) { return portDevice(doorPort) }, awake: awakeFile}
	_ = os.Remove(doorSocket) // of an agent before this one
	listener, err := net.Listen("unix", doorSocket)
	if err == nil {
		err = os.Chmod(doorSocket, 0o666)
	}
	if err != nil {
		say("the app's door: %v", err)
		return
	}
	d.accept(listener)
}

func (d *door) accept(listener net.Listener) {
	free := make(chan struct{}, doorClients)
	for {
		free <- struct{}{}
		client, err := listener.Accept()
		if err != nil {
			<-free
			time.Sleep(idle)
			continue
		}
		go func() {
			d.serve(client)
			<-free
		}()
	}
}

func (d *door) serve(client net.Conn) {
	defer client.Close()
	for lines := bufio.NewReaderSize(client, maxDoorLine); ; {
		_ = client.SetDeadline(time.Now().Add(doorIdle))
		line, err := lines.ReadSlice('\n')
		answer := attested{}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			err = errTooLong
		case err != nil:
			return
		default:
			answer.Document, err = d.attest(line)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		_ = client.SetDeadline(time.Now().Add(doorIdle))
		if json.NewEncoder(client).Encode(answer) != nil || len(line) == maxDoorLine {
			return
		}
	}
}

// attest returns a document for the request that LINE is.
func (d *door) attest(line []byte) ([]byte, error) {
	request := attestation{}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return nil, fmt.Errorf("the request is not understood: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one request on the line")
	}
	if len(request.UserData) > maxData || len(request.Nonce) > maxData {
		return nil, fmt.Errorf("user_data and nonce have at most %d bytes", maxData)
	}
	device, err := d.find()
	if err != nil {
		return nil, errNoEnclave
	}
	if _, err := os.Stat(d.awake); err != nil {
		return nil, errAsleep
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.ask(device, request)
}

// ask sends REQUEST through the port DEVICE and waits for its answer.
func (d *door) ask(device string, request attestation) ([]byte, error) {
	if d.port == nil { // it can be opened once, and waits without blocking a thread
		fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, fmt.Errorf("opening the port: %w", err)
		}
		d.port = os.NewFile(uintptr(fd), device)
		d.lines = bufio.NewReaderSize(d.port, maxDocument)
	}
	if !d.isConnected() {
		return nil, errNoEnclave
	}
	d.last++
	request.ID = d.last
	_ = d.port.SetDeadline(time.Now().Add(doorTime))
	if err := json.NewEncoder(d.port).Encode(request); err != nil {
		return nil, fmt.Errorf("the enclave does not accept the request: %w", err)
	}
	for {
		line, err := d.lines.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("the enclave does not answer: %w", err)
		}
		answer := attested{}
		if json.Unmarshal(line, &answer) != nil || answer.ID != d.last {
			continue // of a request whose client did not wait for it
		}
		if answer.Error != "" || len(answer.Document) == 0 {
			return nil, fmt.Errorf("the enclave refuses: %s", answer.Error)
		}
		return answer.Document, nil
	}
}

// isConnected tells whether somebody listens at the other end of the port: Linux lets a read
// end at once when nobody does. What is left of answers before is dropped.
func (d *door) isConnected() bool {
	raw, err := d.port.SyscallConn()
	if err != nil {
		return false
	}
	d.lines.Reset(d.port)
	connected, rest := false, make([]byte, maxDocument)
	_ = raw.Control(func(fd uintptr) {
		for n := 1; n > 0; {
			n, err = syscall.Read(int(fd), rest)
			connected = err == syscall.EAGAIN
		}
	})
	return connected
}

// isAwake tells whether that was done, if by an agent before this one.
func isAwake() bool {
	_, err := os.Stat(awakeFile)
	return err == nil
}

// markAwake lets the app know that this machine has what no snapshot has.
func markAwake() {
	if err := os.WriteFile(awakeFile, nil, 0o444); err != nil {
		say("the app's door: %v", err)
	}
}
