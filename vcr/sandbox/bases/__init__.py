"""Builders of what is in a base besides its packages."""
