module vcr/sampler

go 1.24
