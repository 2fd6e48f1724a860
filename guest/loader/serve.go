package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

const maxRequest = 16 << 10 // bytes of a line

// Request is a line on the control port: one of its two fields.
type Request struct {
	Attest *struct {
		Nonce     []byte `json:"nonce"`
		UserData  []byte `json:"user_data"`
		PublicKey []byte `json:"public_key"`
	} `json:"attest"`
	Health *struct {
		Seconds int `json:"seconds"`
	} `json:"health"`
}

// Answer is what comes back. Bytes are base64 in JSON, both ways.
type Answer struct {
	Document []byte `json:"document,omitempty"`
	Code     *int   `json:"code,omitempty"`
	Output   []byte `json:"output,omitempty"`
	Error    string `json:"error,omitempty"`
}

func serve(module *nsm, m *machine) error {
	err := listen(controlPort, func(parent *os.File) {
		defer parent.Close()
		lines := bufio.NewScanner(parent)
		lines.Buffer(nil, maxRequest)
		for lines.Scan() {
			if json.NewEncoder(parent).Encode(control(module, m, lines.Bytes())) != nil {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return listen(appPort, func(parent *os.File) {
		port := make([]byte, 2)
		if _, err := io.ReadFull(parent, port); err != nil {
			parent.Close()
			return
		}
		app, err := m.dial(binary.BigEndian.Uint16(port))
		if err != nil {
			say("%v", err)
			parent.Close()
			return
		}
		join(parent, app)
	})
}

func control(module *nsm, m *machine, line []byte) Answer {
	var request Request
	if err := json.Unmarshal(line, &request); err != nil {
		return Answer{Error: err.Error()}
	}
	switch {
	case request.Attest != nil:
		asked := request.Attest
		document, err := module.attest(asked.UserData, asked.Nonce, asked.PublicKey)
		if err != nil {
			return Answer{Error: err.Error()}
		}
		return Answer{Document: document}
	case request.Health != nil:
		return health(m, request.Health.Seconds)
	}
	return Answer{Error: "unknown request"}
}

func health(m *machine, seconds int) Answer {
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
