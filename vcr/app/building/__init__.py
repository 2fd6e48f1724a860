"""Use-cases about projects and what is built of them."""
