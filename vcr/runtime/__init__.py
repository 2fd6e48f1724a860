"""Machines on this host: starting, watching, stopping; what is kept about them."""
