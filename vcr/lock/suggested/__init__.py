"""Debian packages that stand for official images, as sections of vcr.toml."""
