"""What leaves this host: exports, OCI artifacts, drives over NBD, and binary caches."""
