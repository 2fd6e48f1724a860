package main

import (
	"encoding/json"
	"testing"
)

func TestReportsAreTheLinesOfTheVectors(t *testing.T) {
	var all struct {
		Reports []struct {
			Report Report
			Line   string
		}
	}
	vectors(t, "sampler", &all)
	for _, c := range all.Reports {
		line, err := json.Marshal(c.Report)
		if string(line)+"\n" != c.Line || err != nil {
			t.Errorf("%s, not %s", line, c.Line)
		}
	}
}
