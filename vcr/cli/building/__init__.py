"""Verbs about projects and what is built of them."""
