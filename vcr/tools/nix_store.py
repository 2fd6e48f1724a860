"""What vcr's builds left in the Nix store: what of it nothing keeps, what of it was damaged.

Nix knows what is in use: of roots, of processes that run, of builds that are under way.
https://nix.dev/manual/nix/latest/command-ref/nix-store/gc
"""

import base64
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any

from vcr import process
from vcr.errors import ExitCode, MismatchError, VcrError
from vcr.model.derivations import kind_of
from vcr.tools.nix import Nix
from vcr.tools.nix_log import store_name

AT_ONCE = 500  # paths on one command line
# What may come of it that a file in the store has other bytes.
SYMPTOMS = frozenset({ExitCode.FAILED, ExitCode.USAGE, ExitCode.MISMATCH, ExitCode.UNHEALTHY})
_ALIVE = re.compile(r"[Cc]annot delete path '([^']+)' since it is still alive")


@contextmanager
def blaming_store(nix: Nix, outputs: Iterable[Path]) -> Iterator[None]:
    """Say of an error of the block that it is the store's, if OUTPUTS are damaged there.

    Raises MismatchError with the command that repairs them, or the error as it was.
    """
    try:
        yield
    except VcrError as error:
        damaged = NixStore(nix).damaged(outputs) if error.code in SYMPTOMS else []
        if not damaged:
            raise
        raise MismatchError(
            "a build result in the Nix store is damaged",
            details=[("damaged", str(path)) for path in damaged],
            why=error.what,
            fix=f"nix-store --repair-path {' '.join(map(str, damaged))}",
        ) from error


@dataclass(frozen=True)
class Known:
    """What Nix knows of a path that is valid."""

    built_here: bool  # by this host, Nix's `ultimate`; also after a build that gave the same
    since: int  # when it came, in seconds since 1970
    nar_hash: str  # of its bytes, then

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Known":
        """Read a ROW of `nix path-info --json`; of what it does not say the worst is taken."""
        since = row.get("registrationTime")
        return cls(
            row.get("ultimate") is True,
            since if isinstance(since, int) else 0,
            str(row.get("narHash", "")),
        )


@dataclass(frozen=True)
class NixStore:
    """The store on this host."""

    nix: Nix

    def dead_builds(self) -> list[Path]:
        """Return the outputs of builds that no root, process or build under way keeps."""
        output = self._query("nix-store", "--gc", "--print-dead")
        dead = [path for path in _paths(output) if is_build(path)]
        # What a build that ended half-way has left is there, too, but nothing Nix knows.
        left = self._invalid(dead)
        return [path for path in dead if path not in left]

    def needed_by(self, drvs: Iterable[Path]) -> set[Path]:
        """Return all in the store that DRVS were built from, and what was built by them."""
        words = ("nix-store", "--query", "--requisites", "--include-outputs")
        there = [drv for drv in drvs if drv.exists()]
        return {p for some in batched(there, AT_ONCE) for p in _paths(self._query(*words, *some))}

    def damaged(self, outputs: Iterable[Path]) -> list[Path]:
        """Return what of OUTPUTS, and of builds they refer to, is not as it was built."""
        return self.modified(sorted(filter(is_build, self.needed_by(outputs))))

    def modified(self, paths: Iterable[Path]) -> list[Path]:
        """Return which of the valid PATHS do not have the bytes that Nix noted for them."""
        wanted = list(paths)
        gone = [path for path in wanted if not os.path.lexists(path)]
        for some in batched((path for path in wanted if path not in gone), AT_ONCE):
            argv: list[process.Arg] = ["nix-store", "--verify-path", *some]
            done = process.run(argv, env=self.nix.env(), ok=None)
            found = [path for path in some if f"path '{path}' was modified" in done.stderr]
            if done.returncode and not found:
                raise process.failure(done)
            gone += found
        return gone

    def used_by(self, paths: Iterable[Path]) -> set[Path]:
        """Return the valid PATHS and all in the store that they refer to."""
        words = ("nix-store", "--query", "--requisites")
        return {p for some in batched(paths, AT_ONCE) for p in _paths(self._query(*words, *some))}

    def valid(self, paths: Iterable[Path]) -> dict[Path, "Known"]:
        """Return what Nix knows of the valid ones of PATHS, none of them a .drv.

        What it says of content addresses is not asked for: a signature of a cache does not
        cover it.
        """
        wanted = list(paths)
        left = self._invalid(wanted)  # Nix would ask caches for these
        found = {}
        for some in batched((path for path in wanted if path not in left), AT_ONCE):
            argv: list[process.Arg] = ["nix", "path-info", "--json", *some]
            rows = dict(info_rows(json.loads(process.run(argv, env=self.nix.env()).stdout)))
            found.update({path: Known.of_row(rows.get(path, {})) for path in some})
        return found

    def nar_hashes(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Return the SHA-256, in hex, of the NAR of each of PATHS, of the bytes that are there."""
        found: dict[Path, str] = {}
        for some in batched(paths, AT_ONCE):
            argv: list[process.Arg] = ["nix", "hash", "path", *some]
            lines = process.run(argv, env=self.nix.env()).text.splitlines()
            digests = (base64.b64decode(line.removeprefix("sha256-")).hex() for line in lines)
            found.update(zip(some, digests, strict=True))
        return found

    def sizes(self, paths: Sequence[Path]) -> list[int]:
        """Return the bytes of each of PATHS by itself."""
        words = ("nix-store", "--query", "--size")
        return [
            int(line)
            for some in batched(paths, AT_ONCE)
            for line in self._query(*words, *some).splitlines()
        ]

    def built_size(self, drvs: Collection[Path]) -> int:
        """Return the bytes of what DRVS have made, as far as it is there."""
        words = ("nix-store", "--query", "--outputs")
        made = {p for some in batched(drvs, AT_ONCE) for p in _paths(self._query(*words, *some))}
        return sum(self.sizes(sorted(made - self._invalid(made))))

    def delete(self, paths: Collection[Path]) -> list[Path]:
        """Delete PATHS but for those that came into use; return what is gone. Raises VcrError."""
        left = list(paths)
        # All at once: one that another refers to goes only together with that. Nix stops at
        # the first that came into use.
        while left:
            argv: list[process.Arg] = ["nix-store", "--delete", *left]
            done = process.run(argv, env=self.nix.env(), ok=None)
            if not done.returncode:
                break
            alive = _ALIVE.search(done.stderr)
            if alive is None or Path(alive[1]) not in left:
                raise process.failure(done)
            left = [path for path in left if path != Path(alive[1]) and path.exists()]
        return [path for path in paths if not path.exists()]

    def _invalid(self, paths: Iterable[Path]) -> set[Path]:
        """Return which of PATHS Nix does not know of."""
        words = ("nix-store", "--check-validity", "--print-invalid")
        return {p for some in batched(paths, AT_ONCE) for p in _paths(self._query(*words, *some))}

    def _query(self, *argv: str | Path) -> str:
        return process.run(argv, env=self.nix.env()).text


def info_rows(answer: Any) -> list[tuple[Path, dict[str, Any]]]:
    """Return ANSWER, of `nix path-info --json`, by path: of those that are valid.

    It is a list in Nix before 2.19, an object by path since.
    """
    if isinstance(answer, dict):
        return [(Path(path), row) for path, row in answer.items() if row is not None]
    return [(Path(row["path"]), row) for row in answer if row.get("valid", True)]


def is_build(path: Path) -> bool:
    """Tell from the name of the store PATH whether it was built for one project."""
    kind = kind_of(store_name(str(path)))
    return path.suffix != ".drv" and kind is not None and kind.of_project


def _paths(text: str) -> Iterator[Path]:
    yield from (Path(line) for line in text.splitlines() if line.startswith("/nix/store/"))
