"""The nouns of vcr: digests, projects, locks, plans, ladders. Imports nothing of vcr but errors."""
