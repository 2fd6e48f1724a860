"""Store derivations (.drv files), read directly: what does a build depend on?

The ATerm format is described in the Nix manual, "Derivation ATerm"; its lists,
tuples and string escapes are also Python literals, so `ast` reads it safely.
"""

import ast
from dataclasses import dataclass
from pathlib import Path


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
        _, inputs, sources, _, _, _, env = ast.literal_eval(text.removeprefix("Derive"))
        return cls(
            inputs=tuple(Path(drv) for drv, _ in inputs),
            sources=tuple(Path(source) for source in sources),
            env=dict(env),
        )
