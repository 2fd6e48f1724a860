"""Verbs that compare, state and verify."""
