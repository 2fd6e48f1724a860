"""From a plan to the digest ladder: Nix is driven, its results kept, its reasons shown."""
