"""Fuzzing of every reader of bytes that are not vcr's own: `bin/fuzz`, CONTRIBUTING.md."""
