"""Checks whether statements hold and are enough: pure functions of files and demands."""
