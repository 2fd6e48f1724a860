"""Secrets while locking: known in every form, in no lock."""
