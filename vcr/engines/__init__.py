"""Engines: what runs a machine, and how one is started from what a build made."""
