"""Inputs that are kept: what once was a finding, in this directory; what was interesting, beside.

Files of the corpus are named KIND-DIGEST. tests/unit/test_fuzz_corpus.py tries all of them.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")


def kept(name: str) -> Iterator[tuple[Path, bytes]]:
    """Yield the files of the target NAME, and what is in them."""
    for path in sorted((CORPUS / name).glob("*")):
        yield path, path.read_bytes()


def keep(name: str, kind: str, data: bytes) -> Path:
    """Add DATA, a finding of KIND, to the corpus of the target NAME."""
    path = CORPUS / name / f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class Interesting:
    """Inputs that reached something new, kept on this host from one run to the next."""

    MOST = 2000

    def __init__(self, cache: Path, name: str) -> None:
        """Keep them in the directory CACHE, by the target's NAME."""
        self.directory = cache / name

    def load(self) -> list[bytes]:
        """Return them."""
        if not self.directory.is_dir():
            return []
        files = sorted(self.directory.iterdir(), key=lambda path: path.stat().st_mtime)
        return [path.read_bytes() for path in files[-self.MOST :]]

    def add(self, data: bytes) -> None:
        """Keep DATA, too."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
