package main

import "testing"

// FuzzAnswer: whatever the door says is a document or an error.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{`{"document":"aGVsbG8="}`, `{"error":"no"}`, `{"document":"`, ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if document, err := read(text); err == nil && len(document) > len(text) {
			t.Errorf("%q has %d bytes", text, len(document))
		}
	})
}

// FuzzWords: what is asked for is one line, whatever the words are.
func FuzzWords(f *testing.F) {
	f.Add("--user-data", "00", "--nonce", "6e")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		line, err := request([]string{a, b, c, d})
		if err == nil && (line[0] != '{' || line[len(line)-2:] != "}\n") {
			t.Errorf("%q", line)
		}
	})
}
