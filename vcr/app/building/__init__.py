"""Use-cases: projects, and what is built of them."""
