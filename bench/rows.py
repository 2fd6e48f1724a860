"""What a measurement found: rows of a table, which a script prints or writes as JSON."""

import argparse
import dataclasses
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure: the median of some rounds, and what a peer took in the same run."""

    case: str
    value: float
    unit: str  # "s", "MiB", "MB/s", "1/s", "ms"
    peer: str = ""  # who it is compared with
    peer_value: float | None = None
    rounds: int = 1
    worst: float | None = None  # of the rounds

    @classmethod
    def of(cls, case: str, values: Sequence[float], unit: str = "s") -> "Row":
        """Make it of the VALUES of each round."""
        middle = statistics.median(values)
        return cls(case, middle, unit, rounds=len(values), worst=max(values))

    def beside(self, peer: str, values: Sequence[float]) -> "Row":
        """Return it with what PEER took in the same run."""
        return dataclasses.replace(self, peer=peer, peer_value=statistics.median(values))

    @property
    def ratio(self) -> float | None:
        """Return how many times the peer's value it is."""
        return self.value / self.peer_value if self.peer_value else None

    def __str__(self) -> str:
        line = f"{self.case:<34}{_short(self.value):>9} {self.unit:<5}"
        if self.ratio is not None and self.peer_value is not None:
            line += f" {_short(self.peer_value):>9} {self.unit:<5} {self.ratio:>6.2f}x {self.peer}"
        return line.rstrip()


def _short(value: float) -> str:
    """Write VALUE with three digits at least."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def options(text: str | None) -> argparse.ArgumentParser:
    """Return a parser for a script that TEXT, its docstring, is about; it knows --json."""
    parser = argparse.ArgumentParser(description=(text or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="rows as JSON, for bench/all.py")
    return parser


def show(rows: Sequence[Row], *, as_json: bool) -> None:
    """Print ROWS as a table or as JSON."""
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
        return
    for row in rows:
        print(row)
