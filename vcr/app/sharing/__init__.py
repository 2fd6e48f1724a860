"""Use-cases about exports, registries and caches."""
