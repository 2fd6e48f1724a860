package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// enclaveVectors is tests/vectors/enclave.json: what the parent and an enclave say.
type enclaveVectors struct {
	Ports     map[string]int
	Heartbeat string
	MostData  int `json:"most_data"`
	Domains   map[string]string
	Documents []struct{ Data, Parent, App string }
	Attest    []struct {
		UserData *string `json:"user_data"`
		Nonce    *string
		Line     string
	}
	Health []struct {
		Seconds int
		Line    string
	}
	Facts   []struct{ Line string }
	Answers []struct {
		Document, Output, Facts, Error, Line string
		Code                                 *int
	}
	Prefaces []struct {
		Port  uint16
		Bytes string
	}
	NSM []struct{ Message, Framed string }
}

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheWireIsThatOfTheVectors(t *testing.T) {
	var all enclaveVectors
	vectors(t, "enclave", &all)
	ports := map[string]int{
		"heartbeat": heartbeatPort, "nsm": nsmPort, "control": controlPort, "app": appPort, "drive": drivePort,
	}
	if fmt.Sprint(ports) != fmt.Sprint(all.Ports) || fmt.Sprintf("%x", heartbeat) != all.Heartbeat {
		t.Errorf("%v, %x", ports, heartbeat)
	}
	for _, c := range all.Prefaces {
		ours, theirs := ends(t)
		_, _ = ours.Write(bytesOf(t, c.Bytes))
		nothing := &machine{}
		if _, err := nothing.asked(theirs); err == nil || !strings.Contains(err.Error(), fmt.Sprint(c.Port)) {
			t.Errorf("port %d: %v", c.Port, err)
		}
	}
	for _, c := range all.Answers {
		line, err := json.Marshal(Answer{bytesOf(t, c.Document), c.Code, bytesOf(t, c.Output), c.Facts, c.Error})
		if string(line)+"\n" != c.Line || err != nil {
			t.Errorf("%s, not %s", line, c.Line)
		}
	}
	for _, c := range all.NSM {
		ours, theirs := ends(t)
		framed := bytesOf(t, c.Framed)
		_, _ = theirs.Write(framed) // an answer has the same form
		got, err := (&nsm{parent: ours}).overWire(bytesOf(t, c.Message), make([]byte, nsmMaxResponse))
		said := make([]byte, len(framed))
		_, _ = io.ReadFull(theirs, said)
		if err != nil || !bytes.Equal(said, framed) || hex.EncodeToString(got) != c.Message {
			t.Errorf("%x is asked, %x answered, %v", said, got, err)
		}
	}
}

func TestWhatTheParentAsksIsThatOfTheVectors(t *testing.T) {
	var all enclaveVectors
	vectors(t, "enclave", &all)
	for _, c := range all.Attest {
		var request Request
		err := readJSON([]byte(c.Line), &request)
		if err != nil || request.Attest == nil || !given(t, c.UserData, request.Attest.UserData) ||
			!given(t, c.Nonce, request.Attest.Nonce) {
			t.Errorf("%s: %+v, %v", c.Line, request.Attest, err)
		}
	}
	for _, c := range all.Health {
		var request Request
		err := readJSON([]byte(c.Line), &request)
		if err != nil || request.Health == nil || request.Health.Seconds != c.Seconds || c.Seconds > maxHealth {
			t.Errorf("%s: %+v, %v", c.Line, request.Health, err)
		}
	}
}

func TestWhatIsSeenOfTheAppComesFromItsAgent(t *testing.T) {
	var all enclaveVectors
	vectors(t, "enclave", &all)
	for said, want := range map[string]Answer{
		`facts {"exit":3}`:      {Facts: `{"exit":3}`},
		"error unknown request": {Error: "error unknown request"},
	} {
		path := filepath.Join(t.TempDir(), "agent")
		agent, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer agent.Close()
		asked := make(chan string, 1)
		go func() {
			connection, err := agent.Accept()
			if err != nil {
				return
			}
			defer connection.Close()
			line, _ := bufio.NewReader(connection).ReadString('\n')
			asked <- line
			fmt.Fprintln(connection, said)
		}()
		m := &machine{restore: &Restore{Agent: path}}
		if got := control(nil, m, []byte(all.Facts[0].Line)); got.Facts != want.Facts || got.Error != want.Error {
			t.Errorf("%+v, not %+v", got, want)
		}
		if line := <-asked; line != "facts\n" {
			t.Errorf("%q is asked", line)
		}
	}
	if got := control(nil, nil, []byte(`{"facts": {}, "health": {"seconds": 1}}`)); got.Error == "" {
		t.Error(got)
	}
}

func given(t *testing.T, want *string, got []byte) bool {
	return want == nil && got == nil || want != nil && bytes.Equal(bytesOf(t, *want), got)
}

func TestDocumentsHaveTheDomainsOfTheVectors(t *testing.T) {
	var all enclaveVectors
	vectors(t, "enclave", &all)
	if all.Domains["parent"] != parentDomain || all.Domains["app"] != appDomain || len(all.Domains) != 2 {
		t.Errorf("%q", all.Domains)
	}
	for _, most := range []int{maxData, maxNonce} {
		if most != all.MostData {
			t.Errorf("%d, not %d", most, all.MostData)
		}
	}
	module := signing(t)
	for _, c := range all.Documents {
		for domain, want := range map[string]string{parentDomain: c.Parent, appDomain: c.App} {
			document, err := module.document(domain, &Asked{UserData: bytesOf(t, c.Data)})
			if err != nil || !is(said(t, document)["user_data"], string(bytesOf(t, want))) {
				t.Errorf("%q, %q: %v", domain, c.Data, err)
			}
		}
	}
}

func TestTheDoorTakesTheRequestsOfTheVectors(t *testing.T) {
	var all doorVectors
	vectors(t, "door", &all)
	door := doorOf(t, signing(t))
	lines := bufio.NewReader(door)
	for _, c := range all.Requests {
		fmt.Fprintln(door, c.Line)
		line, err := lines.ReadBytes('\n')
		var answer DoorAnswer
		if err != nil || json.Unmarshal(line, &answer) != nil || answer.Error != "" {
			t.Fatalf("%s: %s, %v", c.Line, line, err)
		}
		fields := said(t, answer.Document)
		nonce, _ := fields["nonce"].([]byte)
		if !is(fields["user_data"], appDomain+string(bytesOf(t, c.UserData))) ||
			!slices.Equal(nonce, bytesOf(t, c.Nonce)) {
			t.Errorf("%s: %q", c.Line, fields)
		}
	}
	for _, c := range all.Refused {
		if answer := doorAnswer(signing(t), []byte(c)); answer.Error == "" || answer.Document != nil {
			t.Errorf("%s: %+v", c, answer)
		}
	}
}

// doorVectors is tests/vectors/door.json, for guest/agent, guest/attest and Python, too.
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
