"""Use-cases: this host."""
