"""Enclaves: how an enclave image is run, here emulated, and how its parent talks to it."""
