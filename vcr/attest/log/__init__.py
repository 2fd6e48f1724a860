"""Entries of transparency logs that stand in Sigstore bundles, verified offline by a log's key."""
