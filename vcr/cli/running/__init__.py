"""Verbs about machines that are up."""
