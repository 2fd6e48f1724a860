"""Verbs that look into a machine: profiles, debuggers."""
