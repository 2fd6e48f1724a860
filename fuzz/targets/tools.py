"""Readers of what programs print, and of files that Nix writes."""

import json
from pathlib import Path

from fuzz.target import Target
from vcr.errors import VcrError
from vcr.tools import derivation, nix_log
from vcr.tools.derivation import Derivation
from vcr.tools.nix_log import Lines, NixLog, store_name


def read_log(data: bytes, _directory: Path) -> None:
    """Take lines of Nix's log."""
    log = NixLog(Lines(lambda _: None))
    for line in data.decode("utf-8", "replace").splitlines():
        log.feed(line)
        store_name(line)


EVENTS = (
    {
        "action": "start",
        "type": 105,
        "id": 1,
        "fields": ["/nix/store/" + "a" * 32 + "-x.drv", "", 1, 1],
    },
    {"action": "result", "type": 101, "id": 1, "fields": ["\u001b[31mline"]},
    {
        "action": "start",
        "type": 108,
        "id": 2,
        "fields": ["/nix/store/" + "b" * 32 + "-y", "https://cache.example"],
    },
    {"action": "msg", "level": 0, "msg": "error: x"},
    {
        "action": "msg",
        "level": 1,
        "msg": "warning: x is not signed by any of the keys in 'trusted-public-keys'",
    },
    {"action": "result", "type": 101, "id": 1, "fields": ['vcr-error: {"what": "x"}']},
)


def read_derivation(data: bytes, directory: Path) -> None:
    """Read a derivation."""
    path = directory / "x.drv"
    path.write_bytes(data)
    Derivation.read(path)


DRV = (
    b'Derive([("out","/nix/store/x","sha256","00")],[("/nix/store/y.drv",["out"])],["/nix/store/z"],"x86_64-linux","/bin/sh",'
    b'["-c","echo \\"x\\""],[("name","x"),("out","/nix/store/x")])'
)

TARGETS = (
    Target(
        "nix-log",
        read_log,
        lambda: [b"\n".join(b"@nix " + json.dumps(event).encode() for event in EVENTS)],
        "text",
        modules=(nix_log,),
        words=(b"@nix {",),
    ),
    Target(
        "derivation",
        read_derivation,
        lambda: [DRV],
        "text",
        modules=(derivation,),
        may_raise=(ValueError, OSError, VcrError),
    ),
)
