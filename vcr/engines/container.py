"""The dev machine: the image as a container of this host, run by crun.

There is no machine: the kernel is this host's, the architecture too. What is kept of the
other profiles is the app's user, environment, capabilities and what it may write, that it
has a network of its own, and how it is asked and stopped.
"""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.engines.bundle import Bind, runtime_config
from vcr.engines.child import python_child
from vcr.engines.layers import remove_tree, unpack
from vcr.engines.machine import Channels, Forward
from vcr.engines.outside import DNS_ADDRESS
from vcr.errors import HostError, UsageError
from vcr.model.health import CommandProbe, HealthCheck
from vcr.sandbox.failure import Failure
from vcr.sandbox.linuxkit import service
from vcr.sandbox.oci import Layout
from vcr.sandbox.tree import Tree, text_file
from vcr.sandbox.users import find_account

LIVE_LABEL = "vcr.dev.mount"  # of an image: where its source directory is shown, read-only
START_SECONDS = 20.0
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Additions:
    """What is given to a container, or a machine that boots, when it is started."""

    env: tuple[str, ...] = ()  # NAME=value
    binds: tuple[Bind, ...] = ()
    source: Path | None = None  # the directory that LIVE_LABEL shows
    runtime: str = ""  # docker or podman, of the user, instead of the pinned crun
    skopeo: Path | None = None  # which they need
    cpus: int = 0  # of a machine, in place of vcr.toml's

    def __bool__(self) -> bool:
        return bool(self.env or self.binds or self.runtime or self.cpus)

    @property
    def digest(self) -> str:
        """Return what tells one start from another with other additions, "" for none."""
        text = repr((self.env, self.binds, self.runtime, self.cpus))
        return hashlib.sha256(text.encode()).hexdigest() if self else ""


NO_ADDITIONS = Additions()


@dataclass(frozen=True)
class ContainerMachine:
    """What nix/stages/container.nix describes."""

    name: str
    config: dict[str, Any]  # of the image
    crun: Path
    pasta: Path
    layout: Path
    writable: bool
    ports: tuple[int, ...]
    health: HealthCheck | None
    additions: Additions = NO_ADDITIONS

    @classmethod
    def of(cls, data: dict[str, Any]) -> "ContainerMachine":
        """Make it of what `read_vm` returns."""
        return cls(**{**data, **{key: Path(data[key]) for key in ("crun", "pasta", "layout")}})

    @property
    def live_mount(self) -> str:
        """Return where in the container the source directory is, "" for nowhere."""
        return str((self.config.get("Labels") or {}).get(LIVE_LABEL, ""))

    def prepare(self, channels: Channels) -> None:
        """Unpack the image and write the bundle; raises UsageError."""
        rootless = os.geteuid() != 0
        scratch = channels.scratch
        remove_tree(scratch)
        for name in ("crun", "upper", "work", "root", "bundle"):
            (scratch / name).mkdir(parents=True, mode=0o755)
        scratch.chmod(0o700)
        (scratch / "resolv.conf").write_text(f"nameserver {DNS_ADDRESS}\n")
        try:
            layers = unpack(Layout(self.layout), channels.layers, own=not rootless)
            account = find_account(_accounts(layers), self.config.get("User", ""))
            wanted = service(self.config, account, writable=self.writable)
        except Failure as failure:
            report = failure.report
            raise UsageError(report["what"], why=report["why"], fix=report["fix"]) from None
        except OSError as error:
            raise HostError(
                f"cannot unpack the image below {channels.layers}",
                why=error.strerror or str(error),
                fix="check the permissions and the free space there",
            ) from None
        wanted["env"] = merged_env(wanted["env"], self.additions.env)
        binds = [Bind(scratch / "resolv.conf", "/etc/resolv.conf", read_only=True), *self.binds()]
        config = runtime_config(wanted, scratch / "root", binds, rootless=rootless)
        (scratch / "bundle" / "config.json").write_text(json.dumps(config))
        (scratch / "layers").write_text(json.dumps([str(layer) for layer in layers]))

    def binds(self) -> list[Bind]:
        """Return what of this host it sees; raises UsageError."""
        binds = list(self.additions.binds)
        if self.live_mount and self.additions.source is not None:
            if not self.live_mount.startswith("/"):
                raise UsageError(f"LABEL {LIVE_LABEL}={self.live_mount} is not an absolute path")
            binds.insert(0, Bind(self.additions.source, self.live_mount, read_only=True))
        return binds

    def command_line(self, forwards: Sequence[Forward], channels: Channels) -> list[str]:
        """Return the argv that runs it."""
        probe = self.health.probe if self.health else None
        told = {
            "crun": str(self.crun),
            "pasta": str(self.pasta),
            "scratch": str(channels.scratch),
            "log": str(channels.log),
            "console": str(channels.console),
            "agent": str(channels.agent),
            "forwards": [[f.address, f.host, f.guest] for f in forwards],
            "health": list(probe.argv) if isinstance(probe, CommandProbe) else [],
            "stop_signal": self.config.get("StopSignal", "SIGTERM"),
        }
        return python_child("vcr.engines.shim", json.dumps(told))

    def begin(self, channels: Channels) -> None:
        """Wait until the container was made; raises HostError when that cannot be done here."""
        wait_until_started(channels)


def wait_until_started(channels: Channels) -> None:
    """Wait for the shim's word; raises HostError with what it could not do."""
    failed, started = (channels.scratch / name for name in ("failed", "started"))
    deadline = time.monotonic() + START_SECONDS
    while not started.exists():
        if failed.exists():
            raise HostError(**json.loads(failed.read_text()))
        if time.monotonic() > deadline:
            raise HostError("the container did not start", fix="see `vcr logs --system`")
        time.sleep(POLL_SECONDS)


def merged_env(image: Sequence[str], given: Sequence[str]) -> list[str]:
    """Return the NAME=value entries of IMAGE with those GIVEN in their place or after them."""
    values = dict(entry.partition("=")[::2] for entry in [*image, *given])
    return [f"{name}={value}" for name, value in values.items()]


def _accounts(layers: Sequence[Path]) -> Tree:
    """Return /etc/passwd and /etc/group of the unpacked LAYERS: the topmost that has one."""
    tree = Tree()
    for name in ("etc/passwd", "etc/group"):
        for layer in reversed(layers):
            path = layer / name
            inside = path.resolve().is_relative_to(layer.resolve())  # no link leads to the host's
            if inside and path.is_file():
                tree.put(name, text_file(path.read_text(encoding="utf-8", errors="replace")))
                break
    return tree
