"""The linuxkit configuration of a machine: our init and the app as its one service.

The service is the one definition of an app's container, which the profile dev reads, too:
user, environment, capabilities, and what is mounted.

linuxkit reads images from a cache directory, an OCI layout; we write it, so that nothing is
pulled. https://github.com/linuxkit/linuxkit/blob/v1.8.2/docs/yaml.md
"""

import re
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure
from vcr.formats.oci import INDEX, Descriptor, Layout, canonical, platform
from vcr.formats.tree import Tree
from vcr.formats.users import Account

REF_NAME = "org.opencontainers.image.ref.name"
INIT_IMAGE = "vcr.local/init:v1"
APP_IMAGE = "vcr.local/app:v1"
APP = "app"

# Docker's default capabilities without MKNOD, NET_RAW and AUDIT_WRITE; a process
# that is not root has none.
ROOT_CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE",
        "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    )
]  # fmt: skip
# What runc and Docker hide from containers by default.
MASKED = [
    "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
    "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
]  # fmt: skip
READ_ONLY = [
    "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
]  # fmt: skip
# The file systems that the OCI runtime specification names, with Docker's options; a user
# namespace may not give tty's group (5).
# https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#default-filesystems
SYSTEM_MOUNTS = (
    ("/proc", "proc", ("nosuid", "nodev", "noexec", "relatime")),
    ("/dev", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k")),
    ("/dev/pts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")),
    ("/dev/shm", "tmpfs", ("nosuid", "nodev", "noexec", "mode=1777", "size=65536k")),  # noqa: S108
    ("/dev/mqueue", "mqueue", ("nosuid", "nodev", "noexec")),
    ("/sys", "sysfs", ("nosuid", "nodev", "noexec", "ro")),
)
TMPFS = ("/run", "/tmp")  # noqa: S108 -- inside the app's container
COPY_UP = "tmpcopyup"  # crun(1): a tmpfs begins with what the image has there
HOST_NAME = "vcr"
# What Docker gives a container whose image does not say otherwise:
# https://github.com/moby/moby/blob/v28.0.0/container/container_unix.go
DEFAULT_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOSTNAME": HOST_NAME,
}
# NAME,SOFT,HARD; what Docker's service has, and systemd's own of open files (setrlimit(2)):
# https://github.com/moby/moby/blob/v28.0.0/contrib/init/systemd/docker.service
LIMITS = ("nofile,1024,524288", "nproc,unlimited,unlimited", "core,unlimited,unlimited")
# As Docker writes it; the app's own name leads to the app.
HOSTS = f"""127.0.0.1\tlocalhost {HOST_NAME}
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
NAME_FILES = ("hosts", "hostname")  # below /etc, of the container itself as in Docker
# The app's door, of guest/agent/door.go: a directory, so that it outlives the agent, and a
# program that asks there. Read-only, so that nobody inside puts something else in its place.
DOOR = "/run/vcr"  # in the app's container
DOOR_SOCKET, AWAKE = "attest.sock", "awake"
MACHINE_BINDS = (
    ("/etc/resolv.conf", "/etc/resolv.conf", "ro"),
    *((f"/run/vcr/{name}", f"/etc/{name}", "rw") for name in NAME_FILES),
    ("/run/vcr/door", DOOR, "ro"),
    ("/etc/vcr/vcr-attest", f"{DOOR}/vcr-attest", "ro"),
)
STOP_SIGNAL = "SIGTERM"  # where an image names none, as in Docker
# As github.com/moby/sys/signal counts them, and crun.
FIRST_REAL_TIME, LAST_REAL_TIME = 34, 64
_REAL_TIME = re.compile(r"RT(?:MIN(?:\+(?P<up>[0-9]{1,2}))?|MAX(?:-(?P<down>[0-9]{1,2}))?)")


def command_of(config: dict[str, Any]) -> list[str]:
    """Return the words the app is started with; raises Failure when there are none."""
    words = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    if not words:
        raise Failure(
            "the image does not say what to run",
            why="it has neither ENTRYPOINT nor CMD",
            fix="add a CMD to the Dockerfile",
        )
    return words


def stop_signal(config: dict[str, Any]) -> str:
    """Return the signal that an app of CONFIG is told to end with, as crun takes it.

    An image may name it in any case, by another name, or not at all; crun takes what it does not
    know for 0, which does nothing. What is no signal is Docker's default.
    """
    text = str(config.get("StopSignal") or STOP_SIGNAL)
    if text.isascii() and text.isdecimal():
        return text if 0 < int(text[:9]) <= LAST_REAL_TIME else STOP_SIGNAL
    name = text.upper().removeprefix("SIG")
    if found := _REAL_TIME.fullmatch(name):
        up, down = int(found["up"] or 0), int(found["down"] or 0)
        number = LAST_REAL_TIME - down if name.startswith("RTMAX") else FIRST_REAL_TIME + up
        return str(number) if FIRST_REAL_TIME <= number <= LAST_REAL_TIME else STOP_SIGNAL
    known = signal.Signals.__members__.get(f"SIG{name}")
    if known is None:
        return STOP_SIGNAL
    return text if text == known.name.removeprefix("SIG") else known.name


def writable_paths(config: dict[str, Any]) -> list[str]:
    """Return the directories of the app that are a tmpfs: /run, /tmp and its volumes."""
    return sorted({*TMPFS, *(config.get("Volumes") or {})})


def mount(target: str, kind: str, options: Iterable[str], source: str = "") -> dict[str, Any]:
    """Return a mount as the OCI runtime specification has it."""
    row = {"destination": target, "type": kind, "source": source or kind}
    return {**row, "options": list(options)}


def mounts(config: dict[str, Any], tree: Tree) -> list[dict[str, Any]]:
    """Return what is mounted into a container of an image, whatever it runs in.

    CONFIG is the image's, TREE has at least its directories and links. /run, /tmp and volumes
    begin with the content, the owner and the mode that the image has there; where it has
    nothing, anybody may write.
    """
    rows = [mount(*row) for row in SYSTEM_MOUNTS]
    for path in writable_paths(config):
        node = tree.get(tree.resolve(path.strip("/")))
        options = ["mode=1777"]
        if node is not None and node.kind == "dir":
            options = [COPY_UP, f"mode={node.mode:o}", f"uid={node.uid}", f"gid={node.gid}"]
        rows.append(mount(path, "tmpfs", ["nosuid", "nodev", *options]))
    return rows


def service(
    config: dict[str, Any], account: Account, tree: Tree, *, writable: bool
) -> dict[str, Any]:
    """Return the app's service for an OCI image CONFIG run as ACCOUNT; TREE as `mounts` has it."""
    binds = (mount(to, "bind", [mode, "rbind"], source) for source, to, mode in MACHINE_BINDS)
    given = list(config.get("Env") or [])
    named = {entry.partition("=")[0] for entry in given}
    defaults = [f"{name}={value}" for name, value in DEFAULT_ENV.items() if name not in named]
    home = [] if "HOME" in named else [f"HOME={account.home}"]
    return {
        "name": APP,
        "image": APP_IMAGE,
        "command": command_of(config),
        "env": [*defaults, *given, *home],
        "cwd": config.get("WorkingDir") or "/",
        "uid": account.uid,
        "gid": account.gid,
        "additionalGids": list(dict.fromkeys((account.gid, *account.groups))),  # as in Docker
        "net": "host",
        "readonly": not writable,
        "noNewPrivileges": True,
        "capabilities": ROOT_CAPABILITIES if account.uid == 0 else [],
        "mounts": [*mounts(config, tree), *binds],
        "rlimits": list(LIMITS),
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
    }


def configuration(app: dict[str, Any]) -> bytes:
    """Return the linuxkit YAML (as JSON, which is YAML) for the service APP."""
    return canonical({"init": [INIT_IMAGE], "services": [app]})


def add_to_cache(cache: Layout, name: str, layer: Path, arch: str, epoch: int) -> dict[str, Any]:
    """Store LAYER as image NAME the way linuxkit's cache wants it; return its index entry."""
    # No config: linuxkit merges its label org.mobyproject.config over the service, and an app
    # must not have that say.
    manifest = cache.add_image([layer], {}, arch, epoch)
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [manifest.to_json(platform=platform(arch))],
    }
    entry: Descriptor = cache.add_bytes(canonical(index), INDEX)
    return entry.to_json(annotations={REF_NAME: name})
