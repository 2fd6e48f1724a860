"""Why did a stage have to be built again? The first input that differs says so.

Compares the derivation of the last build with the new one, going down through
the inputs that differ to the one that differs by itself; for source trees it
names the files.
"""

import filecmp
from collections.abc import Callable, Iterable, Iterator
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
    for before, after in _pairs(old, new, lambda each: each.inputs, _outputs):
        return _compare(before, after)
    for before, after in _pairs(old, new, lambda each: each.sources, lambda path: (path,)):
        return _changed_files(before, after) or f"{store_name(str(after))} changed"
    name = meaning_of(store_name(str(new_path)))
    added = {store_name(str(p)) for p in new.inputs} - {store_name(str(p)) for p in old.inputs}
    return f"{name} changed: new {min(added)}" if added else f"{name} changed"


def _pairs(
    old: Derivation,
    new: Derivation,
    part: Callable[[Derivation], tuple[Path, ...]],
    named: Callable[[Path], Iterable[Path]],
) -> Iterator[tuple[Path, Path]]:
    """Pair what differs in a PART of OLD and NEW and has one name.

    Several of one name, such as the layers of two COPYs, are paired in the order in which the
    derivation has what they are NAMED by; where one is missing, nobody can tell which.
    """
    sides = []
    for one, other in ((old, new), (new, old)):
        text = "\n".join(one.env.values())
        groups: dict[str, list[tuple[int, Path]]] = {}
        for path in part(one):
            if path not in part(other) and path.exists():
                place = max((text.find(str(each)) for each in named(path)), default=-1)
                groups.setdefault(store_name(str(path)), []).append((place, path))
        sides.append({name: [p for _, p in sorted(group)] for name, group in groups.items()})
    before, after = sides
    for name, paths in after.items():
        if len(before.get(name, ())) == len(paths):
            yield from zip(before[name], paths, strict=True)


def _outputs(drv: Path) -> Iterable[Path]:
    return (output.path for output in Derivation.read(drv).outputs)


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
