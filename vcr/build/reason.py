"""Why did a stage have to be built again? The first input that differs says so.

Compares the derivation of the last build with the new one, going down through
the inputs that differ to the one that differs by itself; for source trees it
names the files.
"""

import filecmp
from collections.abc import Iterator
from pathlib import Path

from vcr.model.derivations import meaning_of
from vcr.tools.derivation import Derivation
from vcr.tools.nix_log import store_name

FIRST = "first build"
MAX_NAMED = 3  # files named in a reason


def why_built(old: Path | None, new: Path) -> str:
    """Return, in a few words, why derivation NEW differs from OLD (None: never built)."""
    if old is None or not old.exists():
        return FIRST
    if old == new:
        return "its output was not in the store"
    return _compare(old, new)


def _compare(old_path: Path, new_path: Path) -> str:
    old, new = Derivation.read(old_path), Derivation.read(new_path)
    for before, after in _pairs(old.inputs, new.inputs):
        return _compare(before, after)
    for before, after in _pairs(old.sources, new.sources):
        return _changed_files(before, after) or f"{store_name(str(after))} changed"
    name = meaning_of(store_name(str(new_path)))
    added = {store_name(str(p)) for p in new.inputs} - {store_name(str(p)) for p in old.inputs}
    return f"{name} changed: new {min(added)}" if added else f"{name} changed"


def _pairs(old: tuple[Path, ...], new: tuple[Path, ...]) -> Iterator[tuple[Path, Path]]:
    """Pair inputs of the same name that differ; a name used twice cannot be paired."""
    before = {store_name(str(path)): path for path in old}
    for path in new:
        earlier = before.get(store_name(str(path)))
        if earlier is not None and earlier != path and earlier.exists() and earlier not in new:
            yield earlier, path


def _changed_files(old: Path, new: Path) -> str:
    if not (old.is_dir() and new.is_dir()):
        return ""
    names = sorted(_differences(filecmp.dircmp(old, new, ignore=[], hide=[]), Path()))
    if not names:
        return ""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more + " changed"


def _differences(tree: "filecmp.dircmp[str]", at: Path) -> Iterator[str]:
    for name in (*tree.left_only, *tree.right_only, *tree.common_funny):
        yield str(at / name)
    # dircmp compares by size and time, and everything in the store has the same time.
    _, differ, broken = filecmp.cmpfiles(tree.left, tree.right, tree.common_files, shallow=False)
    for name in (*differ, *broken):
        yield str(at / name)
    for name, below in tree.subdirs.items():
        yield from _differences(below, at / name)
