"""Use-cases: exports, registries and caches."""
