package main

import (
	"strings"
	"testing"
)

func TestARequestIsWhatTheWordsSay(t *testing.T) {
	var all struct {
		Requests []struct {
			Line, Nonce string
			UserData    string   `json:"user_data"`
			Words       []string // null: other clients ask so
		}
		Refused   []string
		Most      int    `json:"most_in_a_line"`
		TooLong   string `json:"too_long"`
		NoEnclave string `json:"no_enclave"`
	}
	vectors(t, "door", &all)
	for _, c := range all.Requests {
		if c.Words == nil {
			continue
		}
		if got, err := request(c.Words); got != c.Line+"\n" || err != nil {
			t.Errorf("%q: %q, %v", c.Words, got, err)
		}
	}
	for _, words := range []string{
		"--nonce", "--nonce x", "--nonce 6", "--other 6e", "6e", "--nonce 6e 6e", "--nonce 6e --nonce 6e", "--help",
	} {
		if got, err := request(strings.Fields(words)); err == nil {
			t.Errorf("%q is taken: %q", words, got)
		}
	}
}

func TestAnAnswerIsADocumentOrAnError(t *testing.T) {
	if got, err := read(`{"document":"ZG9j"}`); string(got) != "doc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := read(`{"error":"there is no enclave"}`); err == nil || err.Error() != "there is no enclave" {
		t.Errorf("%v", err)
	}
	for _, answer := range []string{``, `{}`, `{"document":"?"}`, `{"document":"ZG9j`, `{"document":"ZG9j","x":1}`} {
		if got, err := read(answer); err == nil {
			t.Errorf("%s is taken: %q", answer, got)
		}
	}
}
