"""Bodies of locked answers: kept by hash, in the cache and in the Nix store.

The lock says of each where to get it again, or, when what is at its address may change,
holds the body itself.
"""

import base64
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from vcr.atomic import write_bytes
from vcr.lock.sources import is_permanent
from vcr.model.file_name import last_part, store_name
from vcr.model.lockfile import LockedBody
from vcr.model.url import encoded
from vcr.tools.nix import Nix

MAX_HELD = 512 << 10  # bytes, compressed
# An index of a package of many files is larger: 1.6 MB for pydantic-core, of 6.9 MB. What packs as
# well as that is text, not one of many archives.
MAX_INDEX, TEXT = 2 << 20, 3


@dataclass(frozen=True)
class BodyStore:
    """Where bodies are kept on this host."""

    directory: Path
    nix: Nix

    def keep(
        self, method: str, url: str, body: bytes, *, is_changed: bool = False
    ) -> tuple[str, LockedBody, Path]:
        """Keep BODY, the answer to METHOD URL; return its SHA-256, what the lock says, its file.

        One that IS_CHANGED, of which a secret was taken out, is nowhere else.
        """
        sha256 = hashlib.sha256(body).hexdigest()
        name = store_name(last_part(url))[:80] or "body"
        path = self.directory / sha256 / name
        if not path.exists() or path.read_bytes() != body:
            write_bytes(path, body)
        self.nix.add_fixed(path)
        address = encoded(url) if method == "GET" and not is_changed else ""
        if address and is_permanent(address):
            return sha256, LockedBody(name=name, size=len(body), url=address), path
        packed = gzip.compress(body, mtime=0)
        most = MAX_INDEX if len(packed) * TEXT <= len(body) else MAX_HELD
        data = base64.b64encode(packed).decode() if len(packed) <= most else ""
        return sha256, LockedBody(name=name, size=len(body), url=address, data=data), path

    def find(self, sha256: str, body: LockedBody) -> Path | None:
        """Return the file of BODY, whose hash is SHA256, if it is kept on this host."""
        path = self.directory / sha256 / body.name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            return None
        self.nix.add_fixed(path)
        return path
