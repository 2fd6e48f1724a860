module vcr/step

go 1.24
