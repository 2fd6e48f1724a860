"""How much may be done to follow one script: it ends, whatever its text is."""

from dataclasses import dataclass

from vcr.formats.debian.syntax import UnreadableError

MAX_STEPS = 20_000  # commands
MAX_WORK = 1 << 23  # characters of words, with what they are compared with


@dataclass
class Budget:
    """What was done for a script."""

    steps: int = 0
    work: int = 0  # in characters

    def step(self) -> None:
        """Take account of a command; raises UnreadableError when there are too many."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise UnreadableError(f"it has more than {MAX_STEPS} steps")

    def spend(self, work: int) -> None:
        """Take account of WORK, in characters; raises UnreadableError when it is too much."""
        self.work += work
        if self.work > MAX_WORK:
            raise UnreadableError("its words are too long")
