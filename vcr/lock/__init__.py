"""Closes the inputs of a project: resolves them once, records address, size and hash."""
