"""What the tests of this directory run: vcr itself, as users do."""

from program import project, vcr

__all__ = ["project", "vcr"]
