package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNoLineOfAnAppIsOneOfTheMachine(t *testing.T) {
	for _, c := range []struct{ printed, want string }{
		{"hello\nworld", "app: hello\napp: world\n"},
		{"vcr: facts {\"exit\":0}\n", "app: vcr: facts {\"exit\":0}\n"},
		{"\r\n", "app: \n"},
		{"a\rvcr: b\n", "app: a\\u000dvcr: b\n"},
		{"\v\f\x1c\u0085\u2028\u2029\n", "app: \\u000b\\u000c\\u001c\\u0085\\u2028\\u2029\n"},
		{"\x1b[2J\tü\n", "app: \\u001b[2J\tü\n"},
		{"\xff\n", "app: \ufffd\n"},
		{strings.Repeat("x", maxLine) + "vcr: y\n",
			"app: " + strings.Repeat("x", maxLine) + "\napp: vcr: y\n"},
	} {
		var got bytes.Buffer
		to := &console{to: &got}
		to.print(appMark, strings.NewReader(c.printed))
		if got.String() != c.want {
			t.Errorf("%.60q, not %.60q", got.String(), c.want)
		}
	}
}

func TestWhatWasPrintedBeforeIsRepeated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.log")
	const most = maxRepeated/2 - 1
	for printed, want := range map[string]string{
		"":                                       "",
		"a\nb":                                   "app: a\napp: b\n",
		"of old\n" + strings.Repeat("y\n", most): strings.Repeat("app: y\n", most),
	} {
		if err := os.WriteFile(path, []byte(printed), 0o600); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := (&console{to: &got}).repeat(path); err != nil || got.String() != want {
			t.Errorf("%.60q and %d bytes, not %.60q and %d, %v", got.String(), got.Len(), want, len(want), err)
		}
	}
}

// TestLinesOfTwoComeWhole: the machine and its app print at once, bit by bit.
func TestLinesOfTwoComeWhole(t *testing.T) {
	var to bytes.Buffer
	c := &console{to: &to}
	for mark, word := range map[string]string{"": "machine", appMark: "application"} {
		end, err := c.pipe(mark)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer end.Close()
			for range 500 {
				for _, letter := range word + "\n" {
					_, _ = io.WriteString(end, string(letter))
				}
			}
		}()
	}
	c.drain()
	found := map[string]int{}
	for _, line := range strings.Split(to.String(), "\n") {
		found[line]++
	}
	if found["machine"] != 500 || found["app: application"] != 500 || len(found) != 3 {
		t.Error(found)
	}
}
