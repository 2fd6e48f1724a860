"""Known causes of differences, by what differs, and what helps."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vcr.sandbox.normalize import RULES


@dataclass(frozen=True)
class Cause:
    """Why something differs, and how to make it the same."""

    why: str
    fix: str


_BY_PATH = (
    (
        re.compile(r".*\.py[co]"),
        Cause(
            "Python's bytecode contains the time of its source",
            "set PYTHONDONTWRITEBYTECODE=1, or compile with --invalidation-mode unchecked-hash",
        ),
    ),
    (
        re.compile(r"lib/apk/db/.*|var/lib/(?:dpkg|rpm)/.*|.*/\.package-lock\.json"),
        Cause("a package manager installed something else", "lock the step again: `vcr lock`"),
    ),
    (
        re.compile(r".*\.(?:pem|key|crt)|etc/ssh/ssh_host_.*"),
        Cause("it was generated during the build", "generate keys when the app starts"),
    ),
    (
        re.compile(r".*\.(?:gz|zip|jar|whl)"),
        Cause(
            "archives contain times and orders", "pack with fixed times: SOURCE_DATE_EPOCH, gzip -n"
        ),
    ),
    (
        re.compile(r".*\.(?:a|so(?:\..*)?|o)"),
        Cause(
            "a compiler wrote paths, times or a build ID", "-ffile-prefix-map, ar D, ld --build-id"
        ),
    ),
)
_BY_FIELD = {
    "mtime": Cause("a time is not the one of vcr.lock", "build with vcr; do not change the result"),
    "mode": Cause("a permission differs", "set it: COPY --chmod, or chmod in the RUN"),
    "owner": Cause("an owner differs", "set it: COPY --chown, or chown in the RUN"),
}
_AT_STEP_0 = {
    "initrd, as it was loaded": Cause(
        "the root or the initramfs in memory differs",
        "compare the rungs rootfs and squashfs",
    ),
    "kernel text": Cause("the machines have other kernels", "compare the rung kernel"),
    "device tree": Cause(
        "QEMU describes another machine, or has another seed", "build with vcr's own QEMU"
    ),
}
RAN_APART = Cause(
    "the machines ran differently: time, randomness or an answer from outside came in",
    "explain the rung machine; if step 0 is the same, report it with both snapshots",
)
UNKNOWN = Cause("the cause is not known", "compare the two files by hand")


def cause_of(path: str, fields: tuple[str, ...]) -> Cause:
    """Return why the file at PATH differs in FIELDS, as far as it is known."""
    for name, rule in RULES.items():
        if rule.paths.fullmatch(path):
            return Cause(rule.why, f"`[normalize] {name} = true` in vcr.toml")
    if "content" not in fields:
        return next((_BY_FIELD[field] for field in fields if field in _BY_FIELD), UNKNOWN)
    return next((cause for pattern, cause in _BY_PATH if pattern.fullmatch(path)), UNKNOWN)


def cause_of_memory(regions: Iterable[str], *, has_run: bool) -> Cause:
    """Return why the memory of machines, before or after they ran, differs in REGIONS."""
    if has_run:
        return RAN_APART
    return next((_AT_STEP_0[name] for name in regions if name in _AT_STEP_0), UNKNOWN)
