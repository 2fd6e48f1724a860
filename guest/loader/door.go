package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

const doorTime = 30 * time.Second // for the machine to take an answer

// DoorRequest is a line of guest/agent, which passes on what a process of the app asks.
type DoorRequest struct {
	ID uint64 `json:"id"` // comes back with the answer
	Asked
}

// DoorAnswer is what it gets.
type DoorAnswer struct {
	ID       uint64 `json:"id"`
	Document []byte `json:"document,omitempty"`
	Error    string `json:"error,omitempty"`
}

// serveDoor answers on the machine's port for it, one request after the other. It returns
// when that port is gone, or when the machine does not keep to the protocol: what is in it may
// have been taken over, and gets nothing but documents of the app's domain from here.
func serveDoor(module *nsm, port net.Conn) error {
	defer port.Close()
	lines := bufio.NewReaderSize(port, maxRequest)
	for {
		line, err := readLine(lines)
		if err != nil {
			return err
		}
		_ = port.SetWriteDeadline(time.Now().Add(doorTime))
		if err := json.NewEncoder(port).Encode(doorAnswer(module, line)); err != nil {
			return err
		}
	}
}

func doorAnswer(module *nsm, line []byte) DoorAnswer {
	var request DoorRequest
	if err := readJSON(line, &request); err != nil {
		return DoorAnswer{ID: request.ID, Error: err.Error()}
	}
	document, err := module.document(appDomain, &request.Asked)
	if err != nil {
		return DoorAnswer{ID: request.ID, Error: err.Error()}
	}
	return DoorAnswer{ID: request.ID, Document: document}
}

// openDoor serves the machine's door from now on.
func (m *machine) openDoor(module *nsm) error {
	port, err := net.DialTimeout("unix", m.restore.Door, startTime)
	if err != nil {
		return fmt.Errorf("the app's door: %w", err)
	}
	go func() { say("the app's door is closed: %v", serveDoor(module, port)) }()
	return nil
}
