"""The dev machine: the image as a container of this host, run by crun.

There is no machine: the kernel is this host's, the architecture too. What is kept of the
other profiles is the app's user, environment, capabilities and what it may write, that it
has a network of its own, and how it is asked and stopped.
"""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vcr.engines.addresses import DNS_ADDRESS
from vcr.engines.container.bundle import Bind, runtime_config
from vcr.engines.container.door import door_bind, lay_out_door
from vcr.engines.container.layers import directories, remove_tree, unpack
from vcr.engines.container.services import Neighbour, Service, hosts
from vcr.engines.container.volumes import plan_volumes
from vcr.engines.machine import Channels, Forward, read_vm
from vcr.engines.python_child import python_child
from vcr.errors import ExitCode, HostError, UsageError
from vcr.foreign import read_bytes
from vcr.formats.failure import Failure
from vcr.formats.oci import Layout
from vcr.formats.tree import Tree, text_file
from vcr.formats.users import find_account
from vcr.model.health import CommandProbe, HealthCheck
from vcr.sandbox.linuxkit import HOST_NAME, NAME_FILES, service, stop_signal

LIVE_LABEL = "vcr.dev.mount"  # of an image: where its source directory is shown, read-only
MAX_ACCOUNTS = 16 << 20  # bytes of an image's /etc/passwd
START_SECONDS = 20.0
POLL_SECONDS = 0.01


def live_mount(config: Mapping[str, Any]) -> str:
    """Return where the image of CONFIG wants its source directory shown, "" for nowhere."""
    return str((config.get("Labels") or {}).get(LIVE_LABEL, ""))


@dataclass(frozen=True)
class Additions:
    """What is given to a container, or a machine that boots, when it is started."""

    env: tuple[str, ...] = ()  # NAME=value
    binds: tuple[Bind, ...] = ()
    volumes: tuple[Path, ...] = ()  # directories of this host to make, those of the binds
    source: Path | None = None  # the directory that LIVE_LABEL shows
    services: tuple[Service, ...] = ()  # started before it
    runtime: str = ""  # docker or podman, of the user, instead of the pinned crun
    skopeo: Path | None = None  # which they need
    cpus: int = 0  # of a machine, in place of vcr.toml's

    def __bool__(self) -> bool:
        return bool(self.env or self.binds or self.services or self.runtime or self.cpus)

    @property
    def digest(self) -> str:
        """Return what tells one start from another with other additions, "" for none."""
        text = repr((self.env, self.binds, self.services, self.runtime, self.cpus))
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
    udp_ports: tuple[int, ...] = ()

    @classmethod
    def of(cls, data: dict[str, Any]) -> "ContainerMachine":
        """Make it of what `read_vm` returns."""
        return cls(**{**data, **{key: Path(data[key]) for key in ("crun", "pasta", "layout")}})

    @property
    def live_mount(self) -> str:
        """Return where in the container the source directory is, "" for nowhere."""
        return live_mount(self.config)

    @property
    def services(self) -> list[tuple[Service, "ContainerMachine"]]:
        """Return what is started beside it, and of which images; raises UsageError."""
        found = []
        for each in self.additions.services:
            data = read_vm(Path(each.vm))
            data.pop("kind")
            given = Additions(each.env, each.binds)
            found.append((each, replace(ContainerMachine.of(data), additions=given)))
        return found

    def with_ports_of_services(self) -> "ContainerMachine":
        """Return it with the ports of its services among its own: they share a network."""
        beside = [machine for _, machine in self.services]
        tcp = {port for machine in beside for port in machine.ports} - set(self.ports)
        udp = {port for machine in beside for port in machine.udp_ports} - set(self.udp_ports)
        return replace(
            self, ports=(*self.ports, *sorted(tcp)), udp_ports=(*self.udp_ports, *sorted(udp))
        )

    def prepare(self, channels: Channels) -> None:
        """Unpack the images and write the bundles; raises UsageError."""
        scratch = channels.scratch
        remove_tree(scratch)
        scratch.mkdir(parents=True, mode=0o700)
        lay_out_door(scratch)
        shared = [door_bind(scratch)]
        names = {"hosts": hosts(self.additions.services), "hostname": f"{HOST_NAME}\n"}
        for name in NAME_FILES:
            _write_for_all(scratch / name, names[name])
            shared.append(Bind(scratch / name, f"/etc/{name}"))
        self._lay_out(scratch, channels.layers, shared, self.additions.volumes)
        for each, machine in self.services:
            place = each.scratch(channels)
            machine._lay_out(place, channels.layers, shared, each.volumes)  # noqa: SLF001

    def _lay_out(
        self, scratch: Path, store: Path, shared: Sequence[Bind], volumes: Sequence[Path] = ()
    ) -> None:
        """Unpack the image below STORE and write the bundle in SCRATCH; raises UsageError.

        VOLUMES are directories of this host that its binds show, and that begin as the image.
        """
        rootless = os.geteuid() != 0
        for name in ("crun", "upper", "work", "root", "bundle"):
            (scratch / name).mkdir(parents=True)
            (scratch / name).chmod(0o755)  # whatever the umask of a program that uses vcr.app
        scratch.chmod(0o700)
        _write_for_all(scratch / "resolv.conf", f"nameserver {DNS_ADDRESS}\n")
        try:
            layers = unpack(Layout(self.layout), store, own=not rootless)
            account = find_account(_accounts(layers), self.config.get("User", ""))
            tree = directories(layers)
            settings = service(self.config, account, tree, writable=self.writable)
            owner = None if rootless else account
            plan_volumes(scratch, volumes, self.additions.binds, tree, owner)
        except Failure as failure:
            report = failure.report
            raise UsageError(report["what"], why=report["why"], fix=report["fix"]) from None
        except OSError as error:
            raise HostError(
                f"cannot unpack the image below {store}",
                why=error.strerror or str(error),
                fix="check the permissions and the free space there",
            ) from None
        settings["env"] = merged_env(settings["env"], self.additions.env)
        resolver = Bind(scratch / "resolv.conf", "/etc/resolv.conf", read_only=True)
        binds = [resolver, *shared, *self.binds()]
        config = runtime_config(settings, scratch / "root", binds, rootless=rootless)
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
        settings = {
            "crun": str(self.crun),
            "pasta": str(self.pasta),
            "scratch": str(channels.scratch),
            "log": str(channels.log),
            "console": str(channels.console),
            "agent": str(channels.agent),
            "forwards": [asdict(forward) for forward in forwards],
            "health": list(probe.argv) if isinstance(probe, CommandProbe) else [],
            "stop_signal": self.stop_signal,
            "services": [
                Neighbour.settings(
                    each, channels, machine.ports, machine.health, machine.stop_signal
                )
                for each, machine in self.services
            ],
        }
        return python_child("vcr.engines.container.shim", json.dumps(settings))

    @property
    def stop_signal(self) -> str:
        """Return the name of the signal that the app is told to end with."""
        return stop_signal(self.config)

    def begin(self, channels: Channels) -> None:
        """Wait until the container was made; raises HostError when that cannot be done here."""
        wait_until_started(channels, sum(each.timeout for each in self.additions.services))


def wait_until_started(channels: Channels, services: float = 0.0) -> None:
    """Wait for the shim's word; raises HostError with what it could not do.

    SERVICES: the seconds that those may take which are started before.
    """
    failed, started = (channels.scratch / name for name in ("failed", "started"))
    deadline = time.monotonic() + START_SECONDS + services
    while not started.exists():
        if failed.exists():
            report = json.loads(failed.read_text())
            number = report.pop("code", ExitCode.HOST)
            code = next(code for code in ExitCode if code == number)
            raise HostError(**report, code=code)
        if time.monotonic() > deadline:
            raise HostError("the container did not start", fix="see `vcr logs --system`")
        time.sleep(POLL_SECONDS)


def _write_for_all(path: Path, text: str) -> None:
    """Write TEXT to PATH, for any user of a container to read, whatever the umask is."""
    path.write_text(text)
    path.chmod(0o644)


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
                text = read_bytes(path, MAX_ACCOUNTS).decode("utf-8", "replace")
                tree.put(name, text_file(text))
                break
    return tree
