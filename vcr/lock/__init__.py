"""Locks the inputs of a project: resolves them once, and records address, size and hash."""
