"""Nix's structured log (`--log-format internal-json`), read tolerantly.

Every line that starts with "@nix " is one JSON event. The numbers are those of
Nix's src/libutil/logging.hh: activity 105 is a build (actBuild), 108 a copy from a
cache (actSubstitute), result 101 one line of its log (resBuildLogLine), level 0 an error.
Nix adds events with every release; unknown ones are skipped.
"""

import json
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vcr.foreign import load_json
from vcr.formats.hashes.progress import MARK as HASHING
from vcr.model.derivations import described

TAIL_LINES = 30
BUILDER_ERROR = "vcr-error: "  # vcr.formats.failure reports as one JSON object after this
BUILDER_NOTE = "vcr-note: "  # and what a user should know, as text
# A builder of vcr's own, whose notes are vcr's: what a RUN prints may begin like one.
NOTING = "vcr-layer-base"

LAYERS = "trace: vcr-layers: "  # nix/stages/image.nix
REFUSED = "not signed by any of the keys"  # src/libstore/build/substitution-goal.cc

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STORE_NAME = re.compile(r".*/[a-z0-9]{32}-([^/]+?)(\.drv)?$")


class Follower(Protocol):
    """Who is told what happens, as it happens; derivations and outputs are store paths."""

    def started(self, drv: str) -> None:
        """Take that the build of DRV began."""

    def printed(self, drv: str, text: str) -> None:
        """Take TEXT, a line that the build of DRV printed; "" for DRV if nobody knows whose."""

    def ended(self, drv: str, *, failed: bool) -> None:
        """Take that the build of DRV is over; it may have FAILED."""

    def copying(self, path: str, cache: str) -> None:
        """Take that PATH is being copied from CACHE, a URL."""

    def copied(self, path: str) -> None:
        """Take that copying PATH is over."""

    def said(self, text: str) -> None:
        """Take TEXT, a line of Nix itself."""


@dataclass(frozen=True)
class Lines:
    """Tells what happens in lines."""

    show: Callable[[str], None]

    def started(self, drv: str) -> None:
        """Show it."""
        self.show(f"building {described(store_name(drv))}")

    def printed(self, drv: str, text: str) -> None:
        """Show the line and whose it is."""
        if not text.startswith(HASHING):
            self.show(f"{store_name(drv)}> {text}" if drv else text)

    def ended(self, drv: str, *, failed: bool) -> None:
        """Show nothing."""

    def copying(self, path: str, cache: str) -> None:
        """Show it."""
        self.show(f"copying {store_name(path)} from {cache}")

    def copied(self, path: str) -> None:
        """Show nothing."""

    def said(self, text: str) -> None:
        """Show it."""
        self.show(text)


@dataclass
class NixLog:
    """What a realisation said: feed it lines, ask it what happened."""

    follower: Follower
    built: list[str] = field(default_factory=list)  # derivations whose build started
    errors: list[str] = field(default_factory=list)  # Nix's own error messages
    notes: list[str] = field(default_factory=list)  # of builders, for the user
    refused: list[str] = field(default_factory=list)  # what caches offered without a good signature
    copied: dict[str, str] = field(default_factory=dict)  # store path → the cache it is from
    tails: dict[str, deque[str]] = field(default_factory=dict)  # last lines, by derivation
    _names: dict[int, str] = field(default_factory=dict)  # of builds that run
    _copies: dict[int, str] = field(default_factory=dict)

    def feed(self, line: str) -> None:
        """Take one LINE of stderr."""
        if not line.startswith("@nix "):
            if line.strip() and not line.startswith("warning: you did not"):
                self.follower.said(line)
            return
        try:
            event = json.loads(line[len("@nix ") :])
        except ValueError:
            return
        self._take(event)

    def _take(self, event: object) -> None:
        match event:
            case {"action": "start", "type": 105, "id": int(ident), "fields": [str(drv), *_]}:
                self.built.append(drv)
                self._names[ident] = drv
                self.tails[drv] = deque(maxlen=TAIL_LINES)
                self.follower.started(drv)
            case {
                "action": "start",
                "type": 108,
                "id": int(ident),
                "fields": [str(path), str(cache), *_],
            }:
                self.copied[path] = cache
                self._copies[ident] = path
                self.follower.copying(path, cache)
            case {"action": "stop", "id": int(ident)}:
                self._stop(ident)
            case {"action": "result", "type": 101, "id": int(ident), "fields": [str(text), *_]}:
                self._log_line(ident, text)
            case {"action": "msg", "level": 0, "msg": str(text)}:
                self.errors.append(_plain(text))
            case {"action": "msg", "msg": str(text)} if REFUSED in text:
                self.refused.append(_plain(text).removeprefix("warning: "))
                self.follower.said(self.refused[-1])

    def _stop(self, ident: int) -> None:
        if drv := self._names.pop(ident, ""):
            # The message comes first: "builder for '/nix/store/...drv' failed". What else runs
            # is stopped then, which is no end of it.
            failed = any(drv in error for error in self.errors)
            if failed or not self.errors:
                self.follower.ended(drv, failed=failed)
        elif path := self._copies.pop(ident, ""):
            self.follower.copied(path)

    def _log_line(self, ident: int, text: str) -> None:
        drv, text = self._names.get(ident, ""), _plain(text)
        if drv and not text.startswith(HASHING):
            self.tails[drv].append(text)
        if text.startswith(BUILDER_ERROR):
            return  # shown as an error of its own
        if text.startswith(BUILDER_NOTE) and store_name(drv) == NOTING:
            self.notes.append(text.removeprefix(BUILDER_NOTE))
            return
        self.follower.printed(drv, text)


def store_name(path: str) -> str:
    """Return the readable part of a store PATH: no directory, no hash, no .drv."""
    found = _STORE_NAME.match(path)
    return found.group(1) if found else path


@dataclass(frozen=True)
class Layer:
    """What a layer of a plan is in the store."""

    drv: Path
    out: Path


def read_layers(said: str) -> tuple[Layer, ...]:
    """Return the layers that an evaluation SAID, on stderr, that the plan has; () if it did not.

    They are in the order of their ids' bytes, in which Nix sorts names.
    """
    told = next((line for line in said.splitlines() if line.startswith(LAYERS)), None)
    rows = [] if told is None else json.loads(told.removeprefix(LAYERS))
    return tuple(Layer(Path(drv), Path(out)) for drv, out in rows)


def read_report(line: str) -> dict[str, str]:
    """Return what a builder of vcr.formats.failure says on LINE, nothing when it is not a report.

    A program of a RUN can print what begins like one.
    """
    if not line.startswith(BUILDER_ERROR):
        return {}
    try:
        report = load_json(line.removeprefix(BUILDER_ERROR))
    except ValueError:
        return {}
    keys = ("what", "why", "fix", "code")
    is_one = isinstance(report, dict) and all(isinstance(report.get(key), str) for key in keys)
    return report if is_one else {}


def _plain(text: str) -> str:
    return _COLOUR.sub("", text).rstrip("\n")
