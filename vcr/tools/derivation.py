"""Store derivations (.drv files), read directly: what does a build depend on?

The ATerm format is described in the Nix manual, "Derivation ATerm". It is read by itself:
Python's parser, which takes it too, prints warnings about what is in it and takes a
thousand times its size.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGIN = "Derive("
MAX_DEPTH = 8  # lists and tuples in one another; Nix writes three
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_CLOSING = {"[": "]", "(": ")"}


@dataclass(frozen=True)
class Output:
    """A store path that a derivation makes."""

    path: Path
    method: str = ""  # of a fixed output: "sha256" of a file, "r:sha256" of a tree as a NAR
    digest: str = ""  # of a fixed output: its hash in hex; "" where inputs decide, not content


@dataclass(frozen=True)
class Derivation:
    """The inputs, outputs and environment of one build step."""

    inputs: tuple[Path, ...]  # derivations
    sources: tuple[Path, ...]  # store paths that were added, not built
    env: dict[str, str]
    outputs: tuple[Output, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "Derivation":
        """Read the .drv file at PATH; raises OSError, ValueError."""
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if not text.startswith(BEGIN):
            raise ValueError(f"{path} is not a derivation")
        fields, end = _list(text, len(BEGIN), ")", 1)
        try:
            outputs, inputs, sources, _, _, _, env = fields
            found = cls(
                inputs=tuple(Path(drv) for drv, _ in inputs),
                sources=tuple(Path(source) for source in sources),
                env=dict(env),
                outputs=tuple(Output(Path(out), *fixed) for _, out, *fixed in outputs),
            )
        except (TypeError, ValueError):
            raise ValueError(f"{path} is not a derivation") from None
        if text[end:].strip() or not all(isinstance(v, str) for v in found.env.values()):
            raise ValueError(f"{path} is not a derivation")
        return found

    @property
    def is_fixed(self) -> bool:
        """Return whether the content of every output is decided by a hash."""
        return bool(self.outputs) and all(output.digest for output in self.outputs)


def read_closure(drvs: Iterable[Path]) -> dict[Path, Derivation]:
    """Read DRVS and all that they are built from, inputs first; raises OSError, ValueError."""
    found: dict[Path, Derivation] = {}
    read: dict[Path, Derivation] = {}
    pending = list(drvs)
    while pending:
        drv = pending[-1]
        if drv not in read:
            read[drv] = Derivation.read(drv)
            pending += read[drv].inputs
            continue
        pending.pop()
        found.setdefault(drv, read[drv])
    return found


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    """Return the string, list or tuple AT, and where it ends; raises ValueError."""
    if match := _STRING.match(text, at):
        return _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), match[1]), match.end()
    closing = _CLOSING.get(text[at : at + 1])
    if closing is None or depth > MAX_DEPTH:
        raise ValueError(f"the derivation is damaged after {at} characters")
    return _list(text, at + 1, closing, depth)


def _list(text: str, at: int, closing: str, depth: int) -> tuple[list[Any], int]:
    """Return the values from AT up to CLOSING, and where it ends; raises ValueError."""
    found: list[Any] = []
    while not text.startswith(closing, at):
        if found:
            if not text.startswith(",", at):
                raise ValueError(f"the derivation is damaged after {at} characters")
            at += 1
        value, at = _value(text, at, depth + 1)
        found.append(value)
    return found, at + 1
