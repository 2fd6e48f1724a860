"""Use-cases of what is up: starting, asking and stopping it."""
