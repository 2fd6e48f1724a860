package main

import (
	"encoding/json"
	"net"
	"testing"
	"time"
)

// FuzzHealthAnswer: whatever the app answers to its health check, it is healthy or not.
func FuzzHealthAnswer(f *testing.F) {
	for _, text := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 503\r\n", "", "x\n", "HTTP/1.0 -1 x\n", "200 200\n"} {
		f.Add([]byte(text))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	said := make(chan []byte)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write(<-said)
			connection.Close()
		}
	}()
	check := &HealthCheck{Timeout: 5}
	check.Probe.Port, check.Probe.Path = listener.Addr().(*net.TCPAddr).Port, "/"
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return // it has to be written before anybody reads
		}
		go func() { said <- data }()
		if healthy, why := isOK(check); healthy && why == "" {
			t.Error("healthy without a reason")
		}
	})
}

// FuzzSettings: what the image says about the app is read or refused.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"health":{"probe":{"argv":["x"],"port":1,"path":"/"},"interval":5,"timeout":1e9,"retries":3},"ports":[80]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		settings := Settings{}
		if json.Unmarshal(data, &settings) == nil {
			_, _ = patience(settings.Health), startPause(settings.Health, 0)
		}
	})
}

// FuzzOrder: a request's seconds are a number that a duration holds.
func FuzzOrder(f *testing.F) {
	f.Add("health 5")
	f.Add("stop -1")
	f.Add("stop 99999999999999999999")
	f.Fuzz(func(t *testing.T, line string) {
		if got := parseOrder(line); got.grace < 0 || got.grace%time.Second != 0 {
			t.Error(got)
		}
	})
}
