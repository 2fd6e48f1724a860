"""Enclaves: how an enclave image is run, here emulated, and how its parent talks to it."""

from vcr.settings import without_legacy_ciphers

without_legacy_ciphers()
