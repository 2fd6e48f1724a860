package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// doorAt returns a door that is open, and the enclave's end of its port: what a client asks at
// the socket comes out there.
func doorAt(t *testing.T) (socket string, enclave *os.File) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	awake := filepath.Join(t.TempDir(), "awake")
	if err := os.WriteFile(awake, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	port := os.NewFile(uintptr(pair[0]), "port")
	enclave = os.NewFile(uintptr(pair[1]), "enclave")
	t.Cleanup(func() { port.Close(); enclave.Close() })
	d := &door{
		find:  func() (string, error) { return "there", nil },
		awake: awake,
		port:  port,
		lines: bufio.NewReaderSize(port, maxDocument),
	}
	return open(t, d), enclave
}

func open(t *testing.T, d *door) (socket string) {
	socket = filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go d.accept(listener)
	return socket
}

// asked returns what a new client of SOCKET gets for LINE.
func asked(t *testing.T, socket, line string) (answer attested) {
	client, err := net.Dial("unix", socket)
	if err != nil {
		t.Error(err)
		return
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprint(client, line)
	got, err := bufio.NewReaderSize(client, maxDocument).ReadBytes('\n')
	if err != nil || json.Unmarshal(got, &answer) != nil {
		t.Errorf("%.80q: %q, %v", line, got, err)
	}
	return answer
}

// echo plays an enclave whose documents are the user_data, a slash and the nonce.
func echo(enclave *os.File) {
	for lines := bufio.NewScanner(enclave); lines.Scan(); {
		request := attestation{}
		_ = json.Unmarshal(lines.Bytes(), &request)
		document := append(append(request.UserData, '/'), request.Nonce...)
		_ = json.NewEncoder(enclave).Encode(attested{ID: request.ID, Document: document})
	}
}

func b64(data string) string { return base64.StdEncoding.EncodeToString([]byte(data)) }

// doorVectors is tests/vectors/door.json, for guest/loader, guest/attest and Python, too.
type doorVectors struct {
	Requests []struct {
		Line, Nonce string
		UserData    string   `json:"user_data"`
		Words       []string // by which vcr-attest is asked for it
	}
	Refused   []string
	Most      int    `json:"most_in_a_line"`
	TooLong   string `json:"too_long"`
	NoEnclave string `json:"no_enclave"`
}

func TestADocumentComesForWhatIsGiven(t *testing.T) {
	var all doorVectors
	vectors(t, "door", &all)
	socket, enclave := doorAt(t)
	go echo(enclave)
	for _, c := range all.Requests {
		userData, _ := hex.DecodeString(c.UserData)
		nonce, _ := hex.DecodeString(c.Nonce)
		got := asked(t, socket, c.Line+"\n")
		if want := string(userData) + "/" + string(nonce); got.Error != "" || string(got.Document) != want {
			t.Errorf("%s: %+v", c.Line, got)
		}
	}
}

func TestManyClientsGetEachItsOwn(t *testing.T) {
	socket, enclave := doorAt(t)
	go echo(enclave)
	var all sync.WaitGroup
	for i := range 4 * doorClients {
		all.Add(1)
		go func() {
			defer all.Done()
			own := fmt.Sprint("client ", i)
			got := asked(t, socket, fmt.Sprintf(`{"nonce": %q}`+"\n", b64(own)))
			if string(got.Document) != "/"+own {
				t.Errorf("%s: %+v", own, got)
			}
		}()
	}
	all.Wait()
}

func TestWhatIsNoRequestIsNotPassedOn(t *testing.T) {
	var all doorVectors
	vectors(t, "door", &all)
	socket, enclave := doorAt(t)
	for _, line := range append(all.Refused, `{"id": "x"}`, strings.Repeat("[", maxDoorLine-2)) {
		if got := asked(t, socket, line+"\n"); got.Error == "" || got.Document != nil {
			t.Errorf("%.80s: %+v", line, got)
		}
	}
	for _, length := range []int{maxDoorLine, 10 * maxDoorLine} {
		if got := asked(t, socket, strings.Repeat("x", length)+"\n"); got.Error != all.TooLong {
			t.Errorf("%d bytes: %+v", length, got)
		}
	}
	if maxDoorLine != all.Most {
		t.Errorf("%d bytes, not %d", maxDoorLine, all.Most)
	}
	_ = enclave.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := enclave.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes got through, %v", n, err)
	}
}

func TestAnAnswerThatCameTooLateIsNobodys(t *testing.T) {
	socket, enclave := doorAt(t)
	_ = json.NewEncoder(enclave).Encode(attested{ID: 0, Document: []byte("of before")})
	go func() {
		lines := bufio.NewScanner(enclave)
		lines.Scan()
		for _, line := range []string{`{"id": 77, "document": "b2xk"}`, `garbage`, `{"id": 1, "document": "bmV3"}`} {
			fmt.Fprintln(enclave, line)
		}
	}()
	if got := asked(t, socket, "{}\n"); string(got.Document) != "new" {
		t.Errorf("%+v", got)
	}
}

func TestAnEnclaveThatRefusesOrEndsIsAnError(t *testing.T) {
	socket, enclave := doorAt(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(enclave)
		lines.Scan()
		fmt.Fprintln(enclave, `{"id": 1, "error": "no"}`)
		lines.Scan()
		fmt.Fprintln(enclave, strings.Repeat("x", maxDocument+1))
		enclave.Close()
	}()
	for _, why := range []string{"refuses: no", "does not answer", "no enclave"} {
		if why == "no enclave" {
			<-ended // until then it is there, and may end while it is asked
		}
		if got := asked(t, socket, "{}\n"); !strings.Contains(got.Error, why) || got.Document != nil {
			t.Errorf("%s: %+v", why, got)
		}
	}
}

func TestWithoutAnEnclaveTheErrorSaysSo(t *testing.T) {
	var all doorVectors
	vectors(t, "door", &all)
	nowhere := &door{find: func() (string, error) { return "", os.ErrNotExist }}
	if got := asked(t, open(t, nowhere), "{}\n"); got.Error != all.NoEnclave {
		t.Errorf("%+v", got)
	}
	asleep := &door{find: func() (string, error) { return "there", nil }, awake: filepath.Join(t.TempDir(), "awake")}
	if got := asked(t, open(t, asleep), "{}\n"); got.Error != errAsleep.Error() {
		t.Errorf("%+v", got)
	}
}
