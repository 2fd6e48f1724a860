"""Formats, read and written on the standard library alone, for Nix builders and for vcr."""
