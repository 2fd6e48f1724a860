"""Verbs about this host and vcr itself."""
