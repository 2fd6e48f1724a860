"""Verbs about exports, registries and caches."""
