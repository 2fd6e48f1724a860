package main

import (
	"encoding/hex"
	"testing"
	"time"
)

// Of tests/vectors/agent.json.
type agentVectors struct {
	Requests []struct {
		Line, Do string
		Seconds  int
	}
	Frames []struct {
		Why, Frame, Kind, Data string
		Port                   uint16
		Time                   uint64
	}
	Refused []struct{ Why, Frame string }
}

func TestLinesOfTheHostAreThoseOfTheVectors(t *testing.T) {
	var all agentVectors
	vectors(t, "agent", &all)
	for _, c := range all.Requests {
		got := parseOrder(c.Line)
		if got.do != c.Do || got.grace != time.Duration(c.Seconds)*time.Second {
			t.Errorf("%q: %+v", c.Line, got)
		}
	}
}

func TestFramesOfTheHostAreThoseOfTheVectors(t *testing.T) {
	var all agentVectors
	vectors(t, "agent", &all)
	kinds := map[string]byte{"resume": frameResume, "more": frameMore, "request": frameRequest, "agent": frameAgent}
	for _, c := range all.Frames {
		message, _ := hex.DecodeString(c.Frame)
		got, err := parseFrame(message)
		if err != nil || got.kind != kinds[c.Kind] || got.port != c.Port || got.time != c.Time ||
			hex.EncodeToString(got.data) != c.Data {
			t.Errorf("%s: %+v, %v", c.Why, got, err)
		}
	}
	for _, c := range all.Refused {
		message, _ := hex.DecodeString(c.Frame)
		if got, err := parseFrame(message); err == nil {
			t.Errorf("%s: %+v", c.Why, got)
		}
	}
}
