"""vcr, the verifiable container runner."""

__version__ = "0.1.0"
