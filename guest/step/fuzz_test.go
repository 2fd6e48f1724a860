package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzNames: a question for an address is answered once, whatever it is.
func FuzzNames(f *testing.F) {
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01"))
	f.Add([]byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff"))
	f.Fuzz(func(t *testing.T, query []byte) {
		if reply := answerName(query); reply != nil && (len(reply) > len(query)+16 || reply[0] != query[0]) {
			t.Errorf("%x is answered by %x", query, reply)
		}
	})
}

// FuzzAccounts: numbers of users and groups are those of the file, and never more than 31 bits.
func FuzzAccounts(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/sh\napp:x:7:8::/srv:\n"), "app")
	f.Add([]byte("app:x:7:-1::/srv:\n#:x:1:1:::\nb:x:99999999999:1:::\n"), "7")
	f.Fuzz(func(t *testing.T, content []byte, key string) {
		file := filepath.Join(t.TempDir(), "passwd")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		row := findEntry(entries(file, 2), key)
		if row == nil {
			return
		}
		if id, err := number(key); row.name != key && (err != nil || row.ids[0] != id) {
			t.Errorf("%v for %q", row, key)
		}
		for _, id := range row.ids {
			if id < 0 || id > maxID {
				t.Errorf("%v is taken", row)
			}
		}
	})
}

// FuzzWithin: no path, whatever links it leads through, is outside of the directory.
func FuzzWithin(f *testing.F) {
	f.Add("a/b", "../../etc")
	f.Add("l/../x", "/l")
	f.Fuzz(func(t *testing.T, path, target string) {
		dir := t.TempDir()
		if err := os.Symlink(target, filepath.Join(dir, "l")); err != nil {
			return
		}
		found, err := within(dir, path)
		if err == nil && found != dir && !strings.HasPrefix(found, dir+"/") {
			t.Errorf("%q leads to %s", path, found)
		}
	})
}

// FuzzRequest: what a client of the proxy asks for is one line for the host.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("GET /a?b HTTP/1.1\r\nHost: X.example\r\nAccept: */*\r\nRange: bytes=0-\r\n\r\n"))
	f.Add([]byte("POST http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"))
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		line, err := json.Marshal(describe("http", request, body))
		if err != nil || bytes.ContainsRune(line, '\n') {
			t.Errorf("%q, %v", line, err)
		}
	})
}

// FuzzReply: whatever the host answers to a request, the body is of the length it says.
func FuzzReply(f *testing.F) {
	f.Add([]byte("{\"status\":200,\"headers\":{\"etag\":\"x\"},\"size\":3}\nabcd"))
	f.Add([]byte("{\"size\":-1}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		host := &recorder{out: io.Discard, reader: bufio.NewReader(bytes.NewReader(data))}
		_, _ = host.ask(&Request{Method: "GET"}, nil, func(a *answer) error {
			body, err := io.ReadAll(a.body)
			if int64(len(body)) > max(a.size, 0) {
				t.Errorf("%d bytes of %d", len(body), a.size)
			}
			return err
		})
	})
}

// FuzzJob: a job is read or refused.
func FuzzJob(f *testing.F) {
	f.Add([]byte(`{"epoch":1,"layers":1,"argv":["x"],"mounts":[{"kind":"tmpfs","target":"/t","size":1}],"exchanges":[{"url":"x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		job := Job{}
		if json.Unmarshal(data, &job) == nil {
			_, _ = newReplay(job.Exchanges).ask(&Request{}, nil, func(*answer) error { return nil })
		}
	})
}
