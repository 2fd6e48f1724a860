"""Hashes of what is large: Merkle trees over it, and how far they are."""
