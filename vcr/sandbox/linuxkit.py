"""The linuxkit configuration of a machine: our init and the app as its one service.

linuxkit reads images from a cache directory, an OCI layout; we write it, so that
nothing is pulled. https://github.com/linuxkit/linuxkit/blob/v1.8.2/docs/yaml.md
"""

from pathlib import Path
from typing import Any

from vcr.formats.failure import Failure
from vcr.formats.oci import INDEX, Descriptor, Layout, canonical, platform
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
TMPFS = ("/run", "/tmp")  # noqa: S108 -- inside the app's container
# The app's door, of guest/agent/door.go: a directory, so that it outlives the agent, and a
# program that asks there. Read-only, so that nobody inside puts something else in its place.
DOOR = "/run/vcr"  # in the app's container
DOOR_SOCKET, AWAKE = "attest.sock", "awake"
DOOR_BINDS = [
    f"/run/vcr/door:{DOOR}:ro",
    f"/etc/vcr/vcr-attest:{DOOR}/vcr-attest:ro",
]


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


def writable_paths(config: dict[str, Any]) -> list[str]:
    """Return the directories of the app that are a tmpfs: /run, /tmp and its volumes."""
    return sorted({*TMPFS, *(config.get("Volumes") or {})})


def service(config: dict[str, Any], account: Account, *, writable: bool) -> dict[str, Any]:
    """Return the app's service for an OCI image CONFIG run as ACCOUNT."""
    environment = list(config.get("Env") or [])
    if not any(entry.startswith("HOME=") for entry in environment):
        environment.append(f"HOME={account.home}")
    return {
        "name": APP,
        "image": APP_IMAGE,
        "command": command_of(config),
        "env": environment,
        "cwd": config.get("WorkingDir") or "/",
        "uid": account.uid,
        "gid": account.gid,
        "additionalGids": list(account.groups),
        "net": "host",
        "readonly": not writable,
        "noNewPrivileges": True,
        "capabilities": ROOT_CAPABILITIES if account.uid == 0 else [],
        "binds": ["/etc/resolv.conf:/etc/resolv.conf:ro", *DOOR_BINDS],
        "tmpfs": [f"{path}:mode=1777" for path in writable_paths(config)],
        "rlimits": ["nofile,1024,524288"],
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
