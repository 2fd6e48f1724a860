"""Use-cases that compare, state and verify."""
