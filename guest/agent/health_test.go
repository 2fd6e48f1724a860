package main

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// A case of tests/vectors/health.json: with a clock of its own, an app becomes healthy at a
// moment or never, and every probe takes the same time.
type healthCase struct {
	Why         string
	Check       *HealthCheck
	HealthyFrom *float64 `json:"healthy_from"`
	ProbeTakes  float64  `json:"probe_takes"`
	// When probes begin, up to the end of the start period; null: any pace.
	StartProbes []float64 `json:"start_probes"`
	Healthy     bool
	Until       float64 // when it is over; a pace of its own adds a second at most, and a probe
}

func TestAnAppIsAskedWhenTheVectorsSay(t *testing.T) {
	var cases []healthCase
	vectors(t, "health", &cases)
	for _, c := range cases {
		now := time.Duration(0)
		var begins []float64
		probe := func() (bool, string) {
			begins = append(begins, now.Seconds())
			healthy := c.HealthyFrom != nil && now >= duration(*c.HealthyFrom)
			now += duration(c.ProbeTakes)
			return healthy, "no"
		}
		healthy, why := untilHealthy(c.Check, probe, clock{
			func() time.Duration { return now }, func(pause time.Duration) { now += pause },
		})
		if healthy != c.Healthy || healthy != (why == "") {
			t.Errorf("%s: %v, %q", c.Why, healthy, why)
		}
		if at := now.Seconds(); at < c.Until || at > c.Until+1+c.ProbeTakes {
			t.Errorf("%s: until %v, not %v", c.Why, at, c.Until)
		}
		if c.StartProbes == nil {
			continue
		}
		begins = slices.DeleteFunc(begins, func(at float64) bool { return at > c.Check.StartPeriod })
		if !slices.Equal(begins, c.StartProbes) {
			t.Errorf("%s: probes at %v, not %v", c.Why, begins, c.StartProbes)
		}
	}
}

func TestTheStatusIsThatOfTheVectors(t *testing.T) {
	var all struct {
		Answers []struct {
			Why   string
			Parts []struct {
				Text  string
				Times int
			}
			Status *int // null: it is not an answer
		}
	}
	vectors(t, "http", &all)
	for _, c := range all.Answers {
		text := ""
		for _, part := range c.Parts {
			text += strings.Repeat(part.Text, part.Times)
		}
		got, err := statusOf(bufio.NewReader(io.LimitReader(strings.NewReader(text), maxHead)))
		if (err != nil) != (c.Status == nil) || err == nil && got != *c.Status {
			t.Errorf("%s: %d, %v", c.Why, got, err)
		}
	}
}
