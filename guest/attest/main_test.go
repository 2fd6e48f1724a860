package main

import (
	"strings"
	"testing"
)

func TestARequestIsWhatTheWordsSay(t *testing.T) {
	for _, c := range [][2]string{
		{"", "{}\n"},
		{"--nonce 6e", `{"nonce":"bg=="}` + "\n"},
		{"--user-data 6b6579 --nonce 6e", `{"user_data":"a2V5","nonce":"bg=="}` + "\n"},
		{"--nonce 6E --user-data 00", `{"nonce":"bg==","user_data":"AA=="}` + "\n"},
	} {
		if got, err := request(strings.Fields(c[0])); got != c[1] || err != nil {
			t.Errorf("%q: %q, %v", c[0], got, err)
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
