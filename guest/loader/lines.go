package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bytes of a line: of a request, and of an answer of QEMU or of the machine's agent.
const (
	maxRequest = 4 << 10
	maxAnswer  = 64 << 10
)

// readLine returns the next line of LINES, which is valid until the next one is read. One that
// is longer than the buffer of LINES, or that has no end, is an error.
func readLine(lines *bufio.Reader) ([]byte, error) {
	line, err := lines.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("a line of more than %d bytes", len(line))
	}
	return line, err
}

// readJSON reads the one object that LINE is; what it does not know it refuses.
func readJSON(line []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one object on the line")
	}
	return nil
}
