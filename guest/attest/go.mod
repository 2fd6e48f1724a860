module vcr/attest

go 1.24
