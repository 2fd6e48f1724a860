"""Use-cases that look into a machine: profiles, debuggers."""
