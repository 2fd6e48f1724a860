"""Builders of the rootfs stage: before linuxkit runs, and after it.

`prepare` writes linuxkit's image cache and configuration from the app's image and
our init; `finish` turns linuxkit's tar into the normalised root.tar.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.formats.debs import build_base, read_package
from vcr.formats.failure import Failure, guarded
from vcr.formats.job import read_job
from vcr.formats.oci import Layout
from vcr.formats.rungs import rung_of_file, write_rungs
from vcr.formats.tar import entries, place, write
from vcr.formats.tree import Content, Node, Tree, directory, text_file
from vcr.formats.users import find_account
from vcr.sandbox.linuxkit import (
    APP,
    APP_IMAGE,
    DOOR,
    HOST_NAME,
    HOSTS,
    INIT_IMAGE,
    NAME_FILES,
    add_to_cache,
    configuration,
    service,
    stop_signal,
)

ROOT_TAR = "root.tar"
MADE_LATER = ("dev/", f"{DOOR.strip('/')}")  # in what is mounted above
FILES = ("etc/resolv.conf", *(f"etc/{name}" for name in NAME_FILES))
APP_ROOTS = ("rootfs", "lower")  # where linuxkit lays the app's file system
# What crun and its libraries need of their packages; the rest is documentation.
INIT_KEEPS = ("usr/bin/", "usr/lib/", "usr/lib64/", "bin", "lib", "sbin", "usr/sbin")
# Without ACPI there is no power to switch off: QEMU ends a machine that resets itself.
RESET = 'poweroff() { reboot "$@"; }\n'
# Where programs look for the applets of busybox.
APPLETS = (
    "sh", "mount", "umount", "mkdir", "ln", "cat", "ls", "rm", "hostname", "ip", "sleep", "kill",
    "poweroff", "reboot", "init", "sync", "base64", "tail", "head", "date", "printf", "timeout",
    "stty", "grep", "sed", "ps", "dmesg", "true", "false", "test", "[", "echo", "mknod", "tr", "wc",
)  # fmt: skip

# Also there in a debug profile, for who looks inside.
DEBUG_APPLETS = (
    "awk", "basename", "clear", "cmp", "cp", "cut", "df", "diff", "dirname", "du", "env", "find",
    "free", "hexdump", "id", "ifconfig", "killall", "less", "mv", "nc", "netstat", "nproc",
    "nslookup", "pidof", "ping", "readlink", "realpath", "reset", "rmdir", "route", "sha256sum",
    "sort", "stat", "strings", "sysctl", "tar", "tee", "time", "top", "touch", "traceroute", "tty",
    "uname", "uniq", "uptime", "vi", "watch", "wget", "which", "whoami", "xargs",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """What the machine is given besides the app."""

    debug: bool
    health: dict[str, Any] | None  # as guest/agent reads it
    ports: tuple[int, ...]
    writable: bool
    powers_off: bool  # of vcr.model.board


@dataclass(frozen=True)
class Job:
    """What nix/stages/rootfs.nix gives before linuxkit runs."""

    arch: str
    epoch: int
    machine: Machine
    config: dict[str, Any]  # of the image
    layout: Path
    debs: tuple[Path, ...]
    agent: Path
    asker: Path
    inittab: Path
    scripts: dict[str, Path]


@dataclass(frozen=True)
class Finish:
    """What nix/stages/rootfs.nix gives after it."""

    tar: Path
    epoch: int


def prepare(specification: str, out: str) -> None:
    """Write OUT/cache and OUT/linuxkit.yml for the JSON file SPECIFICATION."""
    guarded(lambda: _prepare(read_job(Job, specification), Path(out), Path("scratch").resolve()))


def finish(specification: str, out: str) -> None:
    """Normalise the tar of linuxkit named by SPECIFICATION into OUT/root.tar."""
    guarded(lambda: _finish(read_job(Finish, specification), Path(out)))


def _prepare(job: Job, out: Path, scratch: Path) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    config = job.config
    app = _app_tree(Layout(job.layout), scratch)
    account = find_account(app, config.get("User", ""))
    app_service = service(config, account, app, writable=job.machine.writable)
    _make_places(app, [row["destination"].strip("/") for row in app_service["mounts"]])
    init = _init_tree(job, scratch)
    cache = Layout(out / "cache")
    manifests: list[dict[str, Any]] = []
    for name, tree in ((INIT_IMAGE, init), (APP_IMAGE, app)):
        layer = scratch / f"{len(manifests)}.layer.tar"
        write(layer, tree.walk(), job.epoch)
        manifests.append(add_to_cache(cache, name, layer, job.arch, job.epoch))
    cache.finish(manifests)
    (out / "linuxkit.yml").write_bytes(configuration(app_service))


def _app_tree(layout: Layout, scratch: Path) -> Tree:
    """Return the app's file system, without its devices.

    They would be the machine's, and crun, which makes those that an app gets, takes `nodev` off
    a root that it makes read-only.
    """
    index = json.loads((layout.root / "index.json").read_bytes())
    tree = layout.flatten(index["manifests"][0]["digest"], scratch)
    for path, node in list(tree.nodes.items()):
        if node.kind in {"char", "block"}:
            del tree.nodes[path]
    return tree


def _make_places(tree: Tree, targets: list[str]) -> None:
    """Give TREE, which will be read-only, a place for everything that is mounted into it."""
    for path in targets:
        at = tree.resolve(path)
        if at not in tree and not path.startswith(MADE_LATER):
            tree.put(tree.locate(path), text_file("") if path in FILES else directory())


def _init_tree(job: Job, scratch: Path) -> Tree:
    """Return our init's file system: busybox, crun, what guest/ has, the app's settings."""
    packages = [read_package(deb, scratch) for deb in job.debs]
    tree = Tree()
    for path, node in build_base(packages, job.arch).walk():
        if path.startswith(INIT_KEEPS):
            tree.put(path, node)
    for name in ("dev", "proc", "sys", "run", "tmp", "var", "root", "containers"):
        tree.put(name, directory())
    for name in (*APPLETS, *(DEBUG_APPLETS if job.machine.debug else ())):
        if f"usr/bin/{name}" not in tree:
            tree.put(f"usr/bin/{name}", Node("link", 0o777, target="busybox"))
    tree.put("usr/sbin/init", Node("link", 0o777, target="../bin/busybox"))
    tree.put("etc/resolv.conf", Node("link", 0o777, target="/run/resolvconf/resolv.conf"))
    tree.put("etc/passwd", text_file("root:x:0:0:root:/root:/bin/sh\n"))
    tree.put("etc/group", text_file("root:x:0:\n"))
    tree.put("etc/inittab", text_file(job.inittab.read_text()))
    for name, script in sorted(job.scripts.items()):
        more = "" if job.machine.powers_off or name != "lib" else RESET
        tree.put(f"etc/vcr/{name}", text_file(script.read_text() + more, 0o755))
    tree.put("etc/vcr/hosts", text_file(HOSTS))
    tree.put("etc/vcr/hostname", text_file(f"{HOST_NAME}\n"))
    agent = Content.of_file(job.agent)
    tree.put("etc/vcr/agent", Node("file", 0o755, content=agent))
    asker = Content.of_file(job.asker)
    tree.put("etc/vcr/vcr-attest", Node("file", 0o755, content=asker))
    tree.put("etc/vcr/machine.json", text_file(_settings(job.machine, job.config)))
    return tree


def _settings(machine: Machine, config: dict[str, Any]) -> str:
    """Return what guest/agent reads."""
    settings = {
        "health": machine.health,
        "ports": machine.ports,
        "stop_signal": stop_signal(config),
    }
    return json.dumps(settings, indent=1, sort_keys=True) + "\n"


def _finish(job: Finish, out: Path) -> None:
    """Keep the last of entries with one name, but the first of a directory's."""
    tree = Tree()
    for name, node in entries(job.tar):
        old = tree.get(name)
        if (
            isinstance(node, Node)
            and old is not None
            and (old.kind == "dir") != (node.kind == "dir")
        ):
            raise Failure(f"linuxkit wrote /{name} as a directory and as something else")
        if old is None or old.kind != "dir":
            place(tree, name, node, job.tar.name)
    tree.remove("boot")
    for place_of_app in (f"containers/services/{APP}/{name}" for name in APP_ROOTS):
        hostname = f"{place_of_app}/etc/hostname"
        if f"{place_of_app}/etc" in tree and hostname not in tree:
            tree.put(hostname, text_file(""))  # linuxkit leaves it out
    out.mkdir(parents=True)
    write(out / ROOT_TAR, tree.walk(), job.epoch)
    write_rungs(out, [rung_of_file("rootfs", out, ROOT_TAR)])
