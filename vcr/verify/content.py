"""Do paths in the Nix store hold what their names say, or what was put there?

A store checks content only when it is added, and takes any from a cache that a trusted key
signed. So the bytes are read again: of derivations and sources, whose own names commit to
them; of files and trees with a hash in a derivation; and of what was built here, which must
be as Nix has noted it.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from vcr.errors import MismatchError
from vcr.tools.derivation import Derivation, Output
from vcr.tools.store_path import name_of, source_path, text_path
from vcr.verify.closure import Closure

FLAT, RECURSIVE = "sha256", "r:sha256"  # the methods that vcr's expressions use
TOLD = 10  # paths in one message


def check_content(closure: Closure, given: Iterable[Path]) -> None:
    """Raise MismatchError unless the derivations of CLOSURE and the paths GIVEN are genuine."""
    for drv, derivation in closure.derivations.items():
        if text_of(drv, derivation) != drv:
            raise _damaged([drv], "its content does not match its name")
    made = {out.path: out for each in closure.derivations.values() for out in each.outputs}
    sources = {path for each in closure.derivations.values() for path in each.sources}
    paths = sorted(given)
    if strange := [path for path in paths if path not in made and path not in sources]:
        raise _damaged(strange, "something that does not have it as an input refers to it")
    fixed = [made[path] for path in paths if path in made and made[path].digest]
    _check_sources(closure, [path for path in paths if path in sources])
    _check_fixed(closure, fixed)
    built = [path for path in paths if path in made and not made[path].digest]
    if modified := closure.store.modified(built):
        raise _damaged(modified, "it was changed since it was built")


def text_of(drv: Path, derivation: Derivation) -> Path:
    """Return where a .drv file with the content of DRV would be."""
    return text_path(drv.read_bytes(), [*derivation.inputs, *derivation.sources], name_of(drv))


def _check_sources(closure: Closure, paths: list[Path]) -> None:
    _check_there(paths)
    hashes = closure.store.nar_hashes(paths)
    wrong = [path for path in paths if source_path(hashes[path], name_of(path)) != path]
    if wrong:
        raise _damaged(wrong, "its content does not match its name")


def _check_fixed(closure: Closure, outputs: list[Output]) -> None:
    _check_there([output.path for output in outputs])
    trees = [output.path for output in outputs if output.method == RECURSIVE]
    hashes = closure.store.nar_hashes(trees)
    hashes |= {out.path: _sha256(out.path) for out in outputs if out.method == FLAT}
    wrong = [out.path for out in outputs if hashes.get(out.path) != out.digest]
    if wrong:
        raise _damaged(wrong, "its hash is not the one in its derivation")


def _check_there(paths: Iterable[Path]) -> None:
    if gone := [path for path in paths if not path.exists(follow_symlinks=False)]:
        raise _damaged(gone, "Nix knows it, but it does not exist")


def _sha256(path: Path) -> str:
    """Return the hash of the file at PATH, "" when it is not a regular file."""
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(paths: list[Path], why: str) -> MismatchError:
    """Say of PATHS WHY they cannot be believed."""
    return MismatchError(
        "the Nix store does not have the right content",
        details=[("wrong", str(path)) for path in paths[:TOLD]],
        why=why,
        fix="nix-store --delete what is wrong, with all that refers to it, and run it again with"
        " --rebuild-toolchain: do not trust what was built from it either",
    )
