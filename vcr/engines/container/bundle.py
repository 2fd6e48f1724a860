"""The OCI runtime configuration of a container of the profile dev.

It is made of the service that linuxkit gets for the machine, so that user, environment,
capabilities and what may be written are the same in both.
https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config.md
"""

import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.sandbox.linuxkit import HOST_NAME

UNLIMITED = (1 << 64) - 1  # RLIM_INFINITY as the OCI runtime specification has it
CAPABILITY_SETS = ("bounding", "effective", "permitted")


@dataclass(frozen=True)
class Bind:
    """A file or directory of this host that the container sees."""

    source: Path
    target: str  # absolute
    read_only: bool = False

    def to_option(self) -> str:
        """Return it as `docker run --mount` wants it: a record of CSV, RFC 4180."""
        fields = ["type=bind", f"source={self.source}", f"target={self.target}"]
        fields += ["readonly"] if self.read_only else []
        return ",".join('"{}"'.format(field.replace('"', '""')) for field in fields)

    def to_mount(self) -> dict[str, Any]:
        """Return it as the runtime wants it."""
        options = ["rbind", "nosuid", "nodev", "ro" if self.read_only else "rw"]
        return {
            "destination": self.target,
            "source": str(self.source),
            "type": "bind",
            "options": options,
        }


def runtime_config(
    service: dict[str, Any], root: Path, binds: Iterable[Bind], *, rootless: bool
) -> dict[str, Any]:
    """Return config.json for linuxkit's SERVICE on the file system ROOT.

    ROOTLESS: the one user there is becomes the app's, in a user namespace of its own; the
    namespaces around the runtime have made that user root.
    """
    uid, gid = service["uid"], service["gid"]
    groups = [] if rootless else service["additionalGids"]
    namespaces = ["pid", "ipc", "uts", "mount", *(["user"] if rootless else [])]
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in namespaces],
        "maskedPaths": service["maskedPaths"],
        "readonlyPaths": service["readonlyPaths"],
    }
    if rootless:
        linux["uidMappings"] = [{"containerID": uid, "hostID": 0, "size": 1}]
        linux["gidMappings"] = [{"containerID": gid, "hostID": 0, "size": 1}]
    return {
        "ociVersion": "1.0.0",
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": gid, "additionalGids": groups},
            "args": service["command"],
            "env": service["env"],
            "cwd": service["cwd"],
            "capabilities": dict.fromkeys(CAPABILITY_SETS, service["capabilities"]),
            "rlimits": [_limit(text) for text in service["rlimits"]],
            "noNewPrivileges": service["noNewPrivileges"],
        },
        "root": {"path": str(root), "readonly": service["readonly"]},
        "hostname": HOST_NAME,
        "mounts": [
            *(_owned(row, uid, gid) if rootless else row for row in _sorted(service["mounts"])),
            *(bind.to_mount() for bind in binds),
        ],
        "linux": linux,
    }


def _sorted(mounts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return MOUNTS as linuxkit has them in order, without what the machine shows of itself."""
    kept = (row for row in mounts if row["type"] != "bind")
    return sorted(kept, key=lambda row: str(row["destination"]))


def _owned(mount: dict[str, Any], uid: int, gid: int) -> dict[str, Any]:
    """Return MOUNT for a user namespace that has no users but UID and GID."""
    given = {"uid": f"uid={uid}", "gid": f"gid={gid}"}
    options = [given.get(option.partition("=")[0], option) for option in mount["options"]]
    return {**mount, "options": options}


def _limit(text: str) -> dict[str, Any]:
    """Read linuxkit's NAME,SOFT,HARD; nobody can have more than this process may give."""
    name, *wanted = text.split(",")
    number = getattr(resource, f"RLIMIT_{name.upper()}")
    most = resource.getrlimit(number)[1] & UNLIMITED  # RLIM_INFINITY is -1 to Python
    soft, hard = (UNLIMITED if word == "unlimited" else int(word) for word in wanted)
    allowed = min(hard, most)
    return {"type": f"RLIMIT_{name.upper()}", "soft": min(soft, allowed), "hard": allowed}
