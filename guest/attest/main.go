// Command attest asks the door of its machine for a document and writes it to its standard
// output. The app's container has it as /run/vcr/vcr-attest:
//
//	vcr-attest --user-data HEX --nonce HEX > document
//
// guest/agent/door.go has the protocol. Sockets of the system and no package net or fmt: that
// is a third of the size.
package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"syscall"
)

const (
	socket    = "/run/vcr/attest.sock"
	maxAnswer = 64 << 10 // bytes of the door's line
	usage     = "usage: vcr-attest [--user-data HEX] [--nonce HEX] > document"
)

func main() {
	document, err := run(os.Args[1:])
	if err == nil {
		_, err = os.Stdout.Write(document)
	}
	if err != nil {
		_, _ = os.Stderr.WriteString("vcr-attest: " + err.Error() + "\n")
		os.Exit(1)
	}
}

func run(words []string) ([]byte, error) {
	line, err := request(words)
	if err != nil {
		return nil, err
	}
	answer, err := exchange(line)
	if err != nil {
		return nil, err
	}
	return read(answer)
}

// request returns the line that WORDS ask for.
func request(words []string) (string, error) {
	names := map[string]string{"--user-data": "user_data", "--nonce": "nonce"}
	var fields []string
	for ; len(words) > 1; words = words[2:] {
		name := names[words[0]]
		delete(names, words[0])
		value, err := hex.DecodeString(words[1])
		if name == "" || err != nil {
			return "", errors.New(usage)
		}
		fields = append(fields, `"`+name+`":"`+base64.StdEncoding.EncodeToString(value)+`"`)
	}
	if len(words) > 0 {
		return "", errors.New(usage)
	}
	return "{" + strings.Join(fields, ",") + "}\n", nil
}

func exchange(line string) (string, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket})
	}
	if err != nil {
		return "", errors.New(socket + ": " + err.Error())
	}
	door := os.NewFile(uintptr(fd), socket)
	defer door.Close()
	if _, err := door.WriteString(line); err != nil {
		return "", err
	}
	answer := make([]byte, 0, maxAnswer)
	for len(answer) < maxAnswer {
		n, err := door.Read(answer[len(answer):maxAnswer])
		answer = answer[:len(answer)+n]
		if line, _, found := strings.Cut(string(answer), "\n"); found {
			return line, nil
		}
		if err != nil {
			return "", errors.New("the door closes without an answer")
		}
	}
	return "", errors.New("the door's answer has no end")
}

// read returns the document in an answer. The door writes one field; only an error's text has
// escapes, and is shown as it is.
func read(answer string) ([]byte, error) {
	if text, found := strings.CutPrefix(answer, `{"document":"`); found {
		text, found = strings.CutSuffix(text, `"}`)
		document, err := base64.StdEncoding.DecodeString(text)
		if found && err == nil {
			return document, nil
		}
	}
	text := strings.TrimSuffix(strings.TrimPrefix(answer, `{"error":"`), `"}`)
	return nil, errors.New(text)
}
