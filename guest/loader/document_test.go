package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ends returns a connection of this process with itself.
func ends(t *testing.T) (ours, theirs *os.File) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range []**os.File{&ours, &theirs} {
		if *file, err = pollable(pair[i], "pair"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*file).Close() })
	}
	return ours, theirs
}

// signing returns an nsm whose documents are what its software is asked, as it came.
func signing(t *testing.T) *nsm {
	ours, theirs := ends(t)
	go func() {
		for {
			length := make([]byte, 4)
			if _, err := io.ReadFull(theirs, length); err != nil {
				return
			}
			asked := make([]byte, binary.BigEndian.Uint32(length))
			_, _ = io.ReadFull(theirs, asked)
			answer := encode([]pair{{"Attestation", []pair{{"document", asked}}}})
			_, _ = theirs.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...))
		}
	}()
	return &nsm{parent: ours}
}

// said returns the fields of what a document of `signing` was asked with.
func said(t *testing.T, document []byte) map[any]any {
	asked, err := decode(document)
	if err != nil {
		t.Fatal(err)
	}
	return asked.(map[any]any)["Attestation"].(map[any]any)
}

func is(found any, wanted string) bool {
	data, ok := found.([]byte)
	return ok && string(data) == wanted
}

func b64(data string) string { return base64.StdEncoding.EncodeToString([]byte(data)) }

func TestWhatTheParentGivesIsUnderItsDomain(t *testing.T) {
	module := signing(t)
	for _, data := range []string{"digest", "", "vcr app v1\nkey", "\nvcr app v1\n", strings.Repeat("x", maxData)} {
		line := fmt.Sprintf(`{"attest": {"user_data": %q, "nonce": %q}}`, b64(data), b64("n"))
		answer := control(module, nil, []byte(line+"\n"))
		if answer.Error != "" {
			t.Fatal(answer.Error)
		}
		fields := said(t, answer.Document)
		if !is(fields["user_data"], "vcr parent v1\n"+data) || !is(fields["nonce"], "n") || fields["public_key"] != nil {
			t.Errorf("%q", fields)
		}
	}
	// Even for who gives nothing, the domain is there.
	if fields := said(t, control(module, nil, []byte(`{"attest": {}}`)).Document); !is(fields["user_data"], parentDomain) {
		t.Errorf("%q", fields)
	}
}

// T3: the parent got a genuine document with a key of its own in it.
func TestNoKeyIsTakenFromTheParent(t *testing.T) {
	module := signing(t)
	for _, line := range []string{
		`{"attest": {"public_key": "a2V5"}}`, `{"attest": {"public_key": null}}`, `{"attest": {"public_key": ""}}`,
		`{"attest": {"Public_Key": "a2V5", "user_data": "YQ=="}}`, `{"attest": {"publickey": "a2V5"}}`,
		`{"public_key": "a2V5", "attest": {}}`, `{"attest": {"domain": "dmNyIGFwcCB2MQo="}}`, `{"attest": {"id": 1}}`,
		`{"attest": {}, "health": {"seconds": 1}}`, `{"attest": {}} {"attest": {}}`, `{"attest": null}`, `{}`, `[]`, ``,
		`{"health": {"seconds": -1}}`, `{"health": {"seconds": 1000000000000}}`, `{"health": {"seconds": 601}}`,
		`{"attest": {"user_data": "` + b64(strings.Repeat("x", maxData+1)) + `"}}`,
		`{"attest": {"nonce": "` + b64(strings.Repeat("x", maxNonce+1)) + `"}}`,
		`{"attest": {"user_data": "no base64"}}`, strings.Repeat("[", 2000),
	} {
		if answer := control(module, nil, []byte(line)); answer.Error == "" || answer.Document != nil {
			t.Errorf("%s: %+v", line, answer)
		}
	}
	if answer := control(module, nil, []byte(`{"attest": {"public_key": "a2V5"}}`)); !strings.Contains(answer.Error, "public_key") {
		t.Error(answer.Error)
	}
}

// doorOf returns the machine's end of a door.
func doorOf(t *testing.T, module *nsm) net.Conn {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	go func() { _ = serveDoor(module, theirs) }()
	_ = ours.SetDeadline(time.Now().Add(10 * time.Second))
	return ours
}

func TestWhatTheAppGivesIsUnderItsDomain(t *testing.T) {
	door := doorOf(t, signing(t))
	lines := bufio.NewReader(door)
	for id, data := range []string{"key", "", "vcr parent v1\ndigest"} {
		fmt.Fprintf(door, `{"id": %d, "user_data": %q, "nonce": %q}`+"\n", id, b64(data), b64("n"))
		line, err := lines.ReadBytes('\n')
		var answer DoorAnswer
		if err != nil || json.Unmarshal(line, &answer) != nil || answer.Error != "" || answer.ID != uint64(id) {
			t.Fatalf("%s, %v", line, err)
		}
		fields := said(t, answer.Document)
		if !is(fields["user_data"], "vcr app v1\n"+data) || !is(fields["nonce"], "n") || fields["public_key"] != nil {
			t.Errorf("%q", fields)
		}
	}
	for _, line := range []string{
		`{"public_key": "a2V5"}`, `{"attest": {}}`, `{"health": {"seconds": 1}}`, `{"user_data": 1}`, `x`, ``,
		`{"user_data": "` + b64(strings.Repeat("x", maxData+1)) + `"}`,
	} {
		fmt.Fprintln(door, line)
		answer, err := lines.ReadBytes('\n')
		if err != nil || !bytes.Contains(answer, []byte(`"error"`)) || bytes.Contains(answer, []byte(`"document"`)) {
			t.Errorf("%s: %s, %v", line, answer, err)
		}
	}
}

func TestALineWithoutEndEndsItsConnection(t *testing.T) {
	door := doorOf(t, signing(t))
	if _, err := door.Write(bytes.Repeat([]byte("x"), 2*maxRequest)); err == nil {
		if _, err := door.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the door goes on: %v", err)
		}
	}
	ours, theirs := ends(t)
	ended := make(chan struct{})
	go func() {
		serveControl(signing(t), nil, theirs)
		close(ended)
	}()
	go func() { _, _ = ours.Write(bytes.Repeat([]byte("x"), 1<<20)) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the control port reads on")
	}
	if _, err := readLine(bufio.NewReaderSize(strings.NewReader(strings.Repeat("x", maxAnswer+1)), maxAnswer)); err == nil {
		t.Error("a line of QEMU without end is taken")
	}
}

func TestAHugeAnswerOfTheSecurityModuleIsAnError(t *testing.T) {
	for _, answer := range []string{"\xff\xff\xff\xff", "\x00\x00\x30\x01", "\x00\x00\x00\x02\x61", "\x00"} {
		ours, theirs := ends(t)
		module := &nsm{parent: ours}
		go func() {
			_, _ = theirs.Read(make([]byte, 4096))
			_, _ = theirs.Write([]byte(answer))
			theirs.Close()
		}()
		if document, err := module.document(appDomain, &Asked{}); err == nil {
			t.Errorf("%q gives %q", answer, document)
		}
		if _, err := module.document(appDomain, &Asked{}); err == nil {
			t.Error("it is asked again, though nobody knows where its next answer begins")
		}
	}
}

// T3: the parent reached every port of the machine, and with it what the app keeps to itself.
func TestOnlyPortsThatTheAppExposesAreReached(t *testing.T) {
	m := &machine{exposed: []uint16{8080}}
	for _, port := range []uint16{0, 22, 8079, 8081, 0xffff} {
		ours, theirs := ends(t)
		_, _ = ours.Write(binary.BigEndian.AppendUint16(nil, port))
		if _, err := m.asked(theirs); err == nil || !strings.Contains(err.Error(), "does not expose") {
			t.Errorf("port %d: %v", port, err)
		}
	}
}
