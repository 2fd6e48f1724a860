"""Checking what somebody else built: comparing ladders, rebuilding, explaining a difference."""
