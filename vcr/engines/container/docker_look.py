"""Looks at an app in a container of docker or podman: what vcr.diagnosis.look does beside crun.

The program may work for another host or in a machine of its own, so a process is looked at only
where it is seen to be the container's: docker-inspect(1), podman-container-inspect(1).
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vcr import process
from vcr.diagnosis.facts import MAX_LISTENERS, Facts, Listener, Program
from vcr.diagnosis.look import SETTLED_SECONDS, cpu_ms_below, oom_kills
from vcr.diagnosis.program import Command, own_architecture, why_not
from vcr.diagnosis.root import TreeFiles
from vcr.diagnosis.sockets import listeners, parse_listeners
from vcr.formats.failure import Failure
from vcr.formats.oci import Layout
from vcr.formats.tree import Tree
from vcr.formats.users import Account, find_account
from vcr.sandbox.linuxkit import DEFAULT_ENV, command_of, writable_paths

OWN_FAILURE = 125  # of docker and podman themselves: docker-run(1), "Exit status"
# Of an app that never ran, or whose loader gave up: those of docker-run(1), and of runc and crun
# where the kernel refuses the file.
NOT_STARTED = (1, 126, 127, 255)
SECONDS = 20.0  # for the program to answer
NEVER_STARTED = ("", "created")  # status of a container that is not there, or whose command is not
_ID = re.compile(r"[0-9a-f]{64}")
_NUMBERS = re.compile(r"[0-9]{1,9}(:[0-9]{1,9})?")


@dataclass(frozen=True)
class Seen:
    """What the program says of a container."""

    ident: str = ""
    status: str = ""  # created: its command was never started; running; exited
    pid: int = 0
    out_of_memory: bool = False

    @property
    def is_here(self) -> bool:
        """Return whether its process is one of this host: its mounts name the container."""
        if not _ID.fullmatch(self.ident) or self.pid <= 1:
            return False
        with suppress(OSError):
            return self.ident in Path(f"/proc/{self.pid}/mountinfo").read_text()
        return False


@dataclass
class Looker:
    """Looks at the container NAME of PROGRAM, which runs the image in LAYOUT."""

    program: str
    name: str
    layout: Path
    scratch: Path  # directory
    config: dict[str, Any]  # of the image
    env: Sequence[str]  # NAME=value that it is given
    binds: Sequence[str]  # where it sees directories of this host
    writable: bool
    _oom_before: int = field(default_factory=oom_kills)
    _running_since: float | None = None

    def inspect(self) -> Seen:
        """Return what PROGRAM says of the container now."""
        with suppress(ValueError, TypeError, LookupError):
            done = process.run(
                [self.program, "container", "inspect", self.name], ok=None, timeout=SECONDS
            )
            (row,) = json.loads(done.text)
            state = row["State"]
            pid, ident, status = int(state["Pid"]), str(row["Id"]), str(state["Status"])
            return Seen(ident, status, pid, state.get("OOMKilled") is True)
        return Seen()

    def state(self, code: Callable[[], int | None]) -> str:
        """Return `starting` until the app has run for a moment, then `running`, or `exited N`."""
        if self.inspect().status == "running":
            self._running_since = self._running_since or time.monotonic()
            settled = time.monotonic() - self._running_since >= SETTLED_SECONDS
            return "running" if settled else "starting"
        return "starting" if (ended := code()) is None else f"exited {ended}"

    def facts(self, code: int | None) -> Facts | None:
        """Return what can be seen, None if too little is; CODE is the app's, None while it runs."""
        seen = self.inspect()
        if code is None:
            return self._of_running(seen)
        oom = 1 if seen.out_of_memory else max(oom_kills() - self._oom_before, 0)
        program = self._program(code) if code in NOT_STARTED else None
        return Facts(
            exit=code,
            program=program,
            oom=oom,
            read_only=not self.writable,
            user=self._account.uid,
        )

    def has_started(self, code: int) -> bool:
        """Return whether the app was started, or the image is why not; CODE is PROGRAM's own."""
        status = self.inspect().status
        if status not in NEVER_STARTED or (not status and code != OWN_FAILURE):
            return True
        return code != OWN_FAILURE and self._program(code) is not None

    def _of_running(self, seen: Seen) -> Facts | None:
        user, read_only = self._account.uid, not self.writable
        if seen.is_here:
            tables = [f"/proc/{seen.pid}/net/{name}" for name in ("tcp", "tcp6")]
            cpu = cpu_ms_below(seen.pid)
            return Facts(read_only=read_only, user=user, listens=listeners(tables), cpu_ms=cpu)
        found = self._asked_inside()
        return None if found is None else Facts(read_only=read_only, user=user, listens=found)

    def _asked_inside(self) -> tuple[Listener, ...] | None:
        """Return where the app listens, as its own image's `cat` says; None without one."""
        argv = [self.program, "exec", self.name, "cat", "/proc/net/tcp", "/proc/net/tcp6"]
        done = process.run(argv, ok=None, timeout=SECONDS)
        if "local_address" not in done.text:
            return None
        return tuple(parse_listeners(done.text)[:MAX_LISTENERS])

    def _program(self, code: int) -> Program | None:
        """Return why its command cannot be started."""
        given = [*(self.config.get("Env") or []), *self.env]
        named = {entry.partition("=")[0] for entry in given}
        env = [f"{key}={value}" for key, value in DEFAULT_ENV.items() if key not in named]
        try:
            account = find_account(self._tree, str(self.config.get("User") or "0"))
            command = Command(
                argv=command_of(self.config),
                env=[*reversed(given), *env],  # the last one given counts
                cwd=self.config.get("WorkingDir") or "/",
                user=account.uid,
                groups=(account.gid, *account.groups),
                covered=[*writable_paths(self.config), *self.binds],
                code=code,
            )
            return why_not(TreeFiles(self._tree), command, own_architecture())
        except (Failure, OSError):
            return None

    @cached_property
    def _account(self) -> Account:
        user = str(self.config.get("User") or "0")
        try:
            return find_account(Tree() if _NUMBERS.fullmatch(user) else self._tree, user)
        except Failure:
            return find_account(Tree(), "0")

    @cached_property
    def _tree(self) -> Tree:
        """Return the image's files; raises Failure."""
        layout = Layout(self.layout)
        descriptor, _ = next(layout.manifests())
        return layout.flatten(str(descriptor["digest"]), self.scratch)
