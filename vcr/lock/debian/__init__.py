"""The Debian archive: signed, indexed, resolved to a closed set of packages."""
