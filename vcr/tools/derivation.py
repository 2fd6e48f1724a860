"""Store derivations (.drv files), read directly: what does a build depend on?

The ATerm format is described in the Nix manual, "Derivation ATerm". It is read by itself:
Python's parser, which takes it too, prints warnings about what is in it and takes a
thousand times its size.
"""

import re
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
class Derivation:
    """The inputs and environment of one build step."""

    inputs: tuple[Path, ...]  # derivations
    sources: tuple[Path, ...]  # store paths that were added, not built
    env: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> "Derivation":
        """Read the .drv file at PATH; raises OSError, ValueError."""
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        if not text.startswith(BEGIN):
            raise ValueError(f"{path} is no derivation")
        fields, end = _list(text, len(BEGIN), ")", 1)
        try:
            _, inputs, sources, _, _, _, env = fields
            found = cls(
                inputs=tuple(Path(drv) for drv, _ in inputs),
                sources=tuple(Path(source) for source in sources),
                env=dict(env),
            )
        except (TypeError, ValueError):
            raise ValueError(f"{path} is no derivation") from None
        if text[end:].strip() or not all(isinstance(v, str) for v in found.env.values()):
            raise ValueError(f"{path} is no derivation")
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
