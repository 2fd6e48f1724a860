package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxControls = 16  // connections at a time
	maxApps     = 512 // likewise, to the app
	requestTime = 60 * time.Second
	maxHealth   = 600 // seconds
)

// Request is a line on the control port: one of its fields.
type Request struct {
	Attest *Asked `json:"attest"`
	Health *struct {
		Seconds int `json:"seconds"`
	} `json:"health"`
	Facts *struct{} `json:"facts"`
}

// Answer is what comes back. Bytes are base64 in JSON, both ways.
type Answer struct {
	Document []byte `json:"document,omitempty"`
	Code     *int   `json:"code,omitempty"`
	Output   []byte `json:"output,omitempty"`
	Facts    string `json:"facts,omitempty"` // about the app, as guest/agent has them
	Error    string `json:"error,omitempty"`
}

func serve(module *nsm, m *machine) error {
	err := listen(controlPort, maxControls, func(parent *os.File) { serveControl(module, m, parent) })
	if err != nil {
		return err
	}
	return listen(appPort, maxApps, func(parent *os.File) {
		port, err := m.asked(parent)
		if err != nil {
			say("%v", err)
			endWrites(parent)
			parent.Close()
			return
		}
		m.relay.carry(parent, port)
	})
}

func serveControl(module *nsm, m *machine, parent *os.File) {
	defer parent.Close()
	lines := bufio.NewReaderSize(parent, maxRequest)
	for {
		_ = parent.SetDeadline(time.Now().Add(requestTime))
		line, err := readLine(lines)
		if err != nil {
			return
		}
		answer := control(module, m, line)
		_ = parent.SetDeadline(time.Now().Add(requestTime))
		if json.NewEncoder(parent).Encode(answer) != nil {
			return
		}
	}
}

// asked reads which port of the app the parent says first: one that the app exposes.
func (m *machine) asked(parent *os.File) (uint16, error) {
	said := make([]byte, 2)
	_ = parent.SetDeadline(time.Now().Add(requestTime))
	if _, err := io.ReadFull(parent, said); err != nil {
		return 0, err
	}
	_ = parent.SetDeadline(time.Time{})
	port := binary.BigEndian.Uint16(said)
	if !slices.Contains(m.exposed, port) {
		return 0, fmt.Errorf("the app does not expose port %d", port)
	}
	return port, nil
}

func control(module *nsm, m *machine, line []byte) Answer {
	var request Request
	if err := readJSON(line, &request); err != nil {
		return Answer{Error: err.Error()}
	}
	asked := 0
	for _, is := range []bool{request.Attest != nil, request.Health != nil, request.Facts != nil} {
		if is {
			asked++
		}
	}
	switch {
	case asked != 1:
	case request.Attest != nil:
		document, err := module.document(parentDomain, request.Attest)
		if err != nil {
			return Answer{Error: err.Error()}
		}
		return Answer{Document: document}
	case request.Health != nil:
		return health(m, request.Health.Seconds)
	case request.Facts != nil:
		return facts(m)
	}
	return Answer{Error: "a request is one of attest, health and facts"}
}

// facts is what the machine's agent sees of the app.
func facts(m *machine) Answer {
	said, err := m.ask("facts", requestTime)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	line, isFacts := strings.CutPrefix(said, "facts ")
	if !isFacts {
		return Answer{Error: said}
	}
	return Answer{Facts: line}
}

func health(m *machine, seconds int) Answer {
	if seconds < 0 || seconds > maxHealth {
		return Answer{Error: fmt.Sprintf("seconds are 0 to %d", maxHealth)}
	}
	limit := time.Duration(seconds)*time.Second + extraTime
	said, err := m.ask(fmt.Sprintf("health %d", seconds), limit)
	if err != nil {
		return Answer{Error: err.Error()}
	}
	words := strings.Fields(said)
	if len(words) < 2 || words[0] != "health" {
		return Answer{Error: said}
	}
	code, err := strconv.Atoi(words[1])
	if err != nil {
		return Answer{Error: said}
	}
	output, _ := base64.StdEncoding.DecodeString(strings.Join(words[2:], ""))
	return Answer{Code: &code, Output: output}
}
