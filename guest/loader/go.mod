module vcr/loader

go 1.24
