"""Sections of vcr.toml that have a module of their own, and the values that keys have."""
