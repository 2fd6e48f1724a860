"""Use-cases about this host."""
