"""Nix's structured log (`--log-format internal-json`), read tolerantly.

Every line that starts with "@nix " is one JSON event. The numbers are those of
Nix's src/libutil/logging.hh: activity 105 is a build (actBuild), 108 a copy from a
cache (actSubstitute), result 101 one
line of its log (resBuildLogLine), level 0 an error. Nix adds events with every
release; unknown ones are skipped.
"""

import json
import re
from collections import deque
from dataclasses import dataclass, field

from vcr.foreign import load_json
from vcr.model.derivations import meaning_of

TAIL_LINES = 30
BUILDER_ERROR = "vcr-error: "  # vcr.formats.failure reports as one JSON object after this
BUILDER_NOTE = "vcr-note: "  # and what a user should know, as text
# A builder of vcr's own, whose notes are vcr's: what a RUN prints may begin like one.
_NOTING = re.compile(r"vcr-layer-base(?![a-z-])")

REFUSED = "not signed by any of the keys"  # src/libstore/build/substitution-goal.cc

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STORE_NAME = re.compile(r".*/[a-z0-9]{32}-([^/]+?)(\.drv)?$")


@dataclass
class NixLog:
    """What a realisation said: feed it lines, ask it what happened."""

    built: list[str] = field(default_factory=list)  # derivations whose build started
    errors: list[str] = field(default_factory=list)  # Nix's own error messages
    notes: list[str] = field(default_factory=list)  # of builders, for the user
    refused: list[str] = field(default_factory=list)  # what caches offered without a good signature
    copied: dict[str, str] = field(default_factory=dict)  # store path → the cache it is from
    tails: dict[str, deque[str]] = field(default_factory=dict)  # last lines, by derivation
    _names: dict[int, str] = field(default_factory=dict)

    def feed(self, line: str) -> str:
        """Take one LINE of stderr; return what is worth showing of it, or ""."""
        if not line.startswith("@nix "):
            return line if line.strip() and not line.startswith("warning: you did not") else ""
        try:
            event = json.loads(line[len("@nix ") :])
        except ValueError:
            return ""
        return self._take(event)

    def _take(self, event: object) -> str:
        match event:
            case {"action": "start", "type": 105, "id": int(ident), "fields": [str(drv), *_]}:
                self.built.append(drv)
                self._names[ident] = drv
                self.tails[drv] = deque(maxlen=TAIL_LINES)
                return f"building {_described(store_name(drv))}"
            case {"action": "start", "type": 108, "fields": [str(path), str(cache), *_]}:
                self.copied[path] = cache
                return f"copying {store_name(path)} from {cache}"
            case {"action": "result", "type": 101, "id": int(ident), "fields": [str(text), *_]}:
                return self._log_line(ident, text)
            case {"action": "msg", "level": 0, "msg": str(text)}:
                self.errors.append(_plain(text))
            case {"action": "msg", "msg": str(text)} if REFUSED in text:
                self.refused.append(_plain(text).removeprefix("warning: "))
                return self.refused[-1]
        return ""

    def _log_line(self, ident: int, text: str) -> str:
        drv, text = self._names.get(ident, ""), _plain(text)
        if drv:
            self.tails[drv].append(text)
        if text.startswith(BUILDER_ERROR):
            return ""  # shown as an error of its own
        if text.startswith(BUILDER_NOTE) and _NOTING.match(store_name(drv)):
            self.notes.append(text.removeprefix(BUILDER_NOTE))
            return ""
        return f"{store_name(drv)}> {text}" if drv else text


def store_name(path: str) -> str:
    """Return the readable part of a store PATH: no directory, no hash, no .drv."""
    found = _STORE_NAME.match(path)
    return found.group(1) if found else path


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


def _described(name: str) -> str:
    """Return what the derivation NAME is to people, and its name."""
    meaning = meaning_of(name)
    return name if meaning == name else f"{meaning} ({name})"


def _plain(text: str) -> str:
    return _COLOUR.sub("", text).rstrip("\n")
