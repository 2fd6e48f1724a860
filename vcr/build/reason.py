"""Why did a stage have to be built again? The first input that differs says so.

Compares the derivation of the last build with the new one, going down through
the inputs that differ to the one that differs by itself; for source trees it
names the files.
"""

import filecmp
from collections.abc import Iterator
from pathlib import Path

from vcr.tools.derivation import Derivation
from vcr.tools.nix_log import store_name

FIRST = "first build"
MAX_NAMED = 3  # files named in a reason

# What the derivations of nix/stages are to their users, by the beginning of their name.
MEANINGS = {
    "vcr-agent-": "the machine's agent",
    "vcr-image-": "the image's config",
    "vcr-kernel-": "the kernel",
    "vcr-layer-copy": "a COPY or ADD",
    "vcr-layer-debs": "the list of packages",
    "vcr-layer-oci": "the base image",
    "vcr-layer-run": "a RUN",
    "vcr-layer-workdir": "a WORKDIR",
    "vcr-linux-": "the kernel",
    "vcr-lower": "the layers below",
    "vcr-machine-": "the build machine",
    "vcr-prod-": "the sealed machine",
    "vcr-rootfs-": "the machine's settings",
    "vcr-step-": "the build machine",
    "vcr-tools-": "the toolchain",
    "vcr-vm-": "the machine's settings",
}


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
    name = _meaning(store_name(str(new_path)))
    added = {store_name(str(p)) for p in new.inputs} - {store_name(str(p)) for p in old.inputs}
    return f"{name} changed: new {min(added)}" if added else f"{name} changed"


def _meaning(name: str) -> str:
    found = (words for prefix, words in MEANINGS.items() if name.startswith(prefix))
    return next(found, name)


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
