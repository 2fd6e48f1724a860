"""What is kept about a machine: one directory and one JSON file each.

A record outlives a crash of vcr; a process is only ever signalled when its start
time is the recorded one, so a reused process id is safe.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from vcr.atomic import write_text
from vcr.engines.container.layers import remove_tree
from vcr.engines.machine import Channels, Forward
from vcr.errors import HostError, UsageError
from vcr.flock import flocked
from vcr.model.project import Project
from vcr.sandbox.hardware import debug_sockets
from vcr.settings import Settings

SCHEMA = 1
LOCK = "lock"  # in its directory
STARTING = "starting.lock"
SOCKET_PATH_LIMIT = 107  # bytes of sun_path without the final NUL, unix(7)


@dataclass(frozen=True)
class Record:
    """One machine."""

    key: str  # of the project
    name: str
    project: str  # its directory
    vm: str  # store path of the `vm` stage
    pid: int
    started: int  # of the process: clock ticks after boot, /proc/PID/stat field 22
    created: float  # seconds since 1970
    forwards: tuple[Forward, ...]
    status: str  # starting, healthy, unhealthy
    place: str = ""  # where its files are, when that is not its key
    additions: str = ""  # digest of what it was given at its start
    runtime: str = ""  # docker or podman, where one of these runs it
    profile: str = ""  # "" in records of before it was kept

    @property
    def where(self) -> str:
        """Return the name of its directory."""
        return self.place or self.key

    @property
    def is_running(self) -> bool:
        """Return whether its process is still there."""
        return start_time(self.pid) == self.started


@dataclass(frozen=True)
class Records:
    """All records of this user."""

    settings: Settings

    def directory(self, key: str) -> Path:
        """Return the directory of the machine KEY."""
        return self.settings.state_dir / "machines" / key

    def channels(self, key: str) -> Channels:
        """Return the files and sockets of the machine KEY; raises HostError."""
        files = self.directory(key)
        sockets = self.settings.runtime_dir / hashlib.sha256(str(files).encode()).hexdigest()[:12]
        channels = Channels(
            files / "console.log", files / "app.log", sockets / "agent", sockets / "qmp"
        )
        longest = max(
            channels.agent, *debug_sockets(channels.debug), key=lambda path: len(str(path))
        )
        if len(str(longest).encode()) > SOCKET_PATH_LIMIT:
            raise HostError(
                f"the path {longest} is too long for a socket",
                why=f"Unix allows {SOCKET_PATH_LIMIT} bytes",
                fix="set XDG_RUNTIME_DIR to a shorter directory",
            )
        return channels

    def load(self, key: str) -> Record | None:
        """Return the record KEY, or None when there is none that can be read."""
        try:
            data = json.loads((self.directory(key) / "machine.json").read_bytes())
            if data.pop("schema") != SCHEMA:
                return None
            forwards = tuple(Forward(**forward) for forward in data.pop("forwards"))
            return Record(**data, forwards=forwards)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def running(self, project: Project) -> Record:
        """Return the record of PROJECT's machine; raises UsageError when it is not up."""
        record = self.load(project.key)
        if record is None or not record.is_running:
            raise UsageError(f"{project.name} is not up", fix="`vcr up` starts it")
        return record

    def save(self, record: Record) -> None:
        """Write RECORD; raises HostError."""
        text = json.dumps({"schema": SCHEMA, **asdict(record)}, indent=1, sort_keys=True)
        write_text(self.directory(record.key) / "machine.json", text + "\n", mode=0o600)

    def forget(self, record: Record) -> None:
        """Remove RECORD and the machine's sockets; its logs stay until the next start."""
        (self.directory(record.key) / "machine.json").unlink(missing_ok=True)
        channels = self.channels(record.where)
        for directory in (channels.agent.parent, channels.scratch):
            remove_tree(directory)

    def places(self, key: str) -> tuple[str, ...]:
        """Return the keys that machines of KEY take in turn, when one replaces another."""
        return (f"{key}~a", f"{key}~b")

    def last_channels(self, key: str) -> Channels:
        """Return the files of the machine of KEY that is, or was, there last."""
        record = self.load(key)
        if record is not None:
            return self.channels(record.where)
        found = [self.channels(name) for name in (key, *self.places(key))]
        logs = [channels for channels in found if channels.log.exists()]
        return max(logs, key=lambda channels: channels.log.stat().st_mtime, default=found[0])

    def all(self) -> list[Record]:
        """Return every readable record, sorted by key."""
        base = self.settings.state_dir / "machines"
        keys = sorted(path.name for path in base.iterdir()) if base.is_dir() else []
        return [record for key in keys if (record := self.load(key)) is not None]

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Keep `vcr prune` away while a machine is made that there is no record of yet.

        Raises HostError.
        """
        with flocked(self.settings.state_dir / STARTING, shared=True, wait=True):
            yield

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Keep other vcr processes from changing the machine KEY; raises HostError."""
        with flocked(self.directory(key) / LOCK) as is_held:
            if not is_held:
                raise HostError(
                    f"another vcr is starting or stopping {key}",
                    fix="wait for it, or stop it",
                )
            yield


def start_time(pid: int) -> int | None:
    """Return when process PID started, in clock ticks after boot; None if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything; state is the first field after it.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])
