module vcr/agent

go 1.24
