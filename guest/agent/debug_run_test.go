//go:build debug

package main

import "testing"

func TestACommandRunsAsTheAppDoesToTheByte(t *testing.T) {
	config := []byte(`{"process": {"args": ["app"], "terminal": false, "env": ["A=b"],
		"rlimits": [{"type": "RLIMIT_CORE", "hard": 18446744073709551615, "soft": 0}]}}`)
	for terminal, want := range map[string]string{
		"": `{"args":["id"],"env":["A=b"],` +
			`"rlimits":[{"type":"RLIMIT_CORE","hard":18446744073709551615,"soft":0}],"terminal":false}`,
		"xterm": `{"args":["id"],"consoleSize":{"height":24,"width":80},"env":["A=b","TERM=xterm"],` +
			`"rlimits":[{"type":"RLIMIT_CORE","hard":18446744073709551615,"soft":0}],"terminal":true}`,
	} {
		command := task{}
		command.Argv, command.Rows, command.Columns, command.Terminal = []string{"id"}, 24, 80, terminal
		found, err := command.process(config)
		if err != nil || string(found) != want {
			t.Errorf("%s, %v; want %s", found, err, want)
		}
	}
}
