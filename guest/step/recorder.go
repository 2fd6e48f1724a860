package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
)

// recorder asks the host, one request at a time: a line of JSON and the body each way.
type recorder struct {
	mutex  sync.Mutex
	out    io.Writer
	reader *bufio.Reader
}

func newRecorder(port *os.File) *recorder {
	return &recorder{out: port, reader: bufio.NewReaderSize(port, portChunkSize)}
}

func (r *recorder) ask(request *Request, body []byte, use func(*answer) error) (bool, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	line, err := json.Marshal(request)
	if err != nil {
		return false, err
	}
	if _, err := r.out.Write(append(append(line, '\n'), body...)); err != nil {
		return false, err
	}
	reply, err := r.reader.ReadBytes('\n')
	if err != nil {
		return false, fmt.Errorf("the host does not answer: %w", err)
	}
	var exchange Exchange
	if err := json.Unmarshal(reply, &exchange); err != nil {
		return false, err
	}
	rest := &io.LimitedReader{R: r.reader, N: exchange.Size}
	err = use(&answer{exchange.Status, exchange.Headers, exchange.Size, rest})
	// A client that went away leaves bytes that are not the next answer's.
	if _, drained := io.Copy(io.Discard, rest); err == nil {
		err = drained
	}
	return true, err
}
