package main

import (
	"net/http/httptest"
	"testing"
)

func TestPages(t *testing.T) {
	for path, want := range map[string]string{"/": "hello from go\n", "/health": "ok\n"} {
		answer := httptest.NewRecorder()
		pages().ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		if answer.Code != 200 || answer.Body.String() != want {
			t.Errorf("GET %s: %d %q, not %q", path, answer.Code, answer.Body, want)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	answer := httptest.NewRecorder()
	pages().ServeHTTP(answer, httptest.NewRequest("GET", "/nothing", nil))
	if answer.Code != 404 {
		t.Errorf("GET /nothing: %d, not 404", answer.Code)
	}
}
