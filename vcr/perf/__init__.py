"""Profiles of machines: what their CPUs executed, by stack of functions."""
