package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzHealthAnswer: whatever the app answers to its health check, it is healthy or not.
func FuzzHealthAnswer(f *testing.F) {
	for _, text := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 503\r\n", "", "x\n", "HTTP/1.0 -1 x\n", "200 200\n"} {
		f.Add([]byte(text))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	said := make(chan []byte)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write(<-said)
			connection.Close()
		}
	}()
	check := &HealthCheck{Timeout: 5}
	check.Probe.Port, check.Probe.Path = listener.Addr().(*net.TCPAddr).Port, "/"
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return // it has to be written before anybody reads
		}
		go func() { said <- data }()
		if healthy, why := isOK(check); healthy && why == "" {
			t.Error("healthy without a reason")
		}
	})
}

// FuzzSettings: what the image says about the app is read or refused.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"health":{"probe":{"argv":["x"],"port":1,"path":"/"},"interval":5,"timeout":1e9,"retries":3},"ports":[80]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		settings := Settings{}
		if json.Unmarshal(data, &settings) == nil {
			_, _ = patience(settings.Health), startPause(settings.Health, 0)
		}
	})
}

// FuzzOrder: a request's seconds are a number that a duration holds.
func FuzzOrder(f *testing.F) {
	f.Add("health 5")
	f.Add("stop -1")
	f.Add("stop 99999999999999999999")
	f.Fuzz(func(t *testing.T, line string) {
		if got := parseOrder(line); got.grace < 0 || got.grace%time.Second != 0 {
			t.Error(got)
		}
	})
}

// FuzzProgram: whatever an image starts, it may be started, or there is a reason in a few words.
func FuzzProgram(f *testing.F) {
	f.Add([]byte("#!/bin/sh\n"))
	f.Add(linkedProgram())
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, content := range map[string][]byte{"app": data, "lib/ld-musl-riscv64.so.1": nil} {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, content, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		command := &Command{Argv: []string{"/app"}, Cwd: "/", Code: noLibrary}
		got := whyNot(root, command, "243:2")
		if bytes.Equal(data, linkedProgram()) && (got == nil || got.Problem != "library") {
			t.Errorf("%+v", got)
		}
		if got != nil && (got.Problem == "" || len([]rune(got.Name)) > maxName) {
			t.Errorf("%+v", got)
		}
	})
}

// linkedProgram is one with a loader, /lib/ld-musl-riscv64.so.1, and a library, libx.so.1.
func linkedProgram() []byte {
	loader, names := "/lib/ld-musl-riscv64.so.1\x00", "\x00libx.so.1\x00"
	const headers, segments = 64, 3
	dynamicAt := uint64(headers + segments*56 + len(loader))
	made := []byte("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	for _, part := range []any{
		[]uint16{3, 243}, uint32(1), []uint64{0, headers, 0}, uint32(0), []uint16{headers, 56, segments, 0, 0, 0},
		[]uint32{loadSegment, 0}, []uint64{0, 0, 0, 512, 512, 0},
		[]uint32{interpreter, 0}, []uint64{headers + segments*56, 0, 0, uint64(len(loader)), 0, 0},
		[]uint32{dynamic, 0}, []uint64{dynamicAt, 0, 0, 48, 48, 0}, []byte(loader),
		[]uint64{needed, 1, stringTable, dynamicAt + 48, 0, 0}, []byte(names),
	} {
		made, _ = binary.Append(made, binary.LittleEndian, part)
	}
	return made
}
