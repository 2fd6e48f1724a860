"""Use-cases: looking into a machine, by profiles and debuggers."""
