"""Reads Dockerfiles: text → instructions → stages, and the build context with them."""
