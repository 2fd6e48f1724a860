"""Volumes that have names: directories of this host that are kept, and begin as the image has them.

A new one gets the content, the owner and the mode of the directory of the image that it hides:
https://docs.docker.com/engine/storage/volumes/#populate-a-volume-using-a-container
"""

import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vcr.engines.container.bundle import Bind
from vcr.engines.container.layers import merge, remove_tree
from vcr.formats.job import as_record
from vcr.formats.tree import Tree
from vcr.formats.users import Account

PLAN = "volumes.json"  # in the scratch directory of a container
OWN_MODE = 0o700  # of one that the image has no directory for


@dataclass(frozen=True)
class Volume:
    """A directory that is to be there when the container starts."""

    source: str  # of this host
    path: str  # in the root of the image, relative and without links
    owner: tuple[int, ...] = ()  # user and group where the image has no such directory


@dataclass(frozen=True)
class Plan:
    """The volumes of a container."""

    volumes: tuple[Volume, ...]


def plan_volumes(
    scratch: Path, sources: Sequence[Path], binds: Sequence[Bind], tree: Tree, owner: Account | None
) -> None:
    """Note in SCRATCH the volumes at SOURCES, which BINDS show; TREE has the image's directories.

    OWNER: whose one is that the image has no directory for, None for whoever runs this. Raises
    OSError.
    """
    ids = (owner.uid, owner.gid) if owner else ()
    targets = {bind.source: bind.target for bind in binds}
    volumes = tuple(
        Volume(str(source), tree.resolve(targets[source].strip("/")), ids) for source in sources
    )
    for source in sources:
        source.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    (scratch / PLAN).write_text(json.dumps(asdict(Plan(volumes))))


def make_volumes(scratch: Path, root: Path) -> None:
    """Make those noted in SCRATCH that are not there or empty, from ROOT, where nothing runs yet.

    Raises OSError.
    """
    for volume in as_record(Plan, json.loads((scratch / PLAN).read_text())).volumes:
        source = Path(volume.source)
        if not (source.is_dir() and any(source.iterdir())):
            _make(source, root / volume.path, volume.owner)


def _make(source: Path, image: Path, owner: tuple[int, ...]) -> None:
    """Make SOURCE, which appears whole or not at all."""
    new = source.with_name(f".new-{source.name}")
    remove_tree(new)
    new.mkdir(mode=OWN_MODE)
    try:
        found = image.lstat()
    except OSError:
        found = None
    if found is not None and stat.S_ISDIR(found.st_mode):
        merge([image], new)
        with suppress(PermissionError):  # there is no other user
            os.chown(new, found.st_uid, found.st_gid)
        new.chmod(stat.S_IMODE(found.st_mode))
    elif owner:
        os.chown(new, *owner)
    if source.exists():
        source.rmdir()
    new.rename(source)
