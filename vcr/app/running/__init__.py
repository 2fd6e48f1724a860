"""Use-cases: what is up; starting, asking and stopping it."""
