"""What Nix said of a plan last, so that it need not be asked while that holds.

It does while nothing changed that evaluation reads: the plan, whose name is its hash (what the
context contains is in it), Nix's expressions, if they are in the store, where nothing changes, and
what sets Nix up. And while all of it is there: a GC root is made when its path is valid, and keeps
it so. PROFILE-ARCH/known.json, below the GC roots of a project, has this.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vcr.atomic import write_text
from vcr.errors import HostError
from vcr.foreign import MAX_TEXT, read_bytes
from vcr.tools.nix import Evaluation, Nix, Target

KNOWN = "known.json"
STORE = Path("/nix/store")
# Of Nix, relative to the home and absolute: nix.conf(5).
CONFIGURATION = (".config/nix/nix.conf", "/etc/nix/nix.conf")


@dataclass(frozen=True)
class Known:
    """What is known of one plan, whose GC roots are in a directory."""

    roots: Path
    key: str  # of all that evaluation reads, "" for what cannot be told

    @classmethod
    def of(cls, nix: Nix, plan: Path, roots: Path) -> "Known":
        """Return what is known of PLAN, a file that is named by its hash, with its ROOTS."""
        if not nix.directory.is_relative_to(STORE):
            return cls(roots, "")
        env = {**nix.settings.env, **nix.env()}
        told = {
            "plan": plan.name,
            "expressions": str(nix.directory),
            "environment": {name: env[name] for name in sorted(env) if name.startswith("NIX_")},
            "configuration": [_text(each, env) for each in CONFIGURATION],
        }
        return cls(roots, hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest())

    def recall(self, attrs: Sequence[str]) -> Evaluation | None:
        """Return the evaluation of ATTRS if it is known and all of it is built, else None."""
        if not self.key:
            return None
        rows = self._read()
        targets = tuple(rows[attr] for attr in attrs if attr in rows)
        if len(targets) < len(attrs) or not all(map(self._is_kept, targets)):
            return None
        return Evaluation(targets, ())

    def note(self, targets: Sequence[Target]) -> None:
        """Remember TARGETS, which are built, and each of which has its GC root."""
        rows = self._read()
        if not self.key or all(rows.get(target.attr) == target for target in targets):
            return
        rows |= {target.attr: target for target in targets}
        told = {attr: [str(each.drv), str(each.out)] for attr, each in rows.items()}
        text = json.dumps({"key": self.key, "targets": told}, indent=1, sort_keys=True)
        with suppress(HostError):  # Nix is asked the next time, too
            write_text(self.roots / KNOWN, f"{text}\n")

    def _read(self) -> dict[str, Target]:
        """Return by attribute what is noted with the same key."""
        try:
            data = json.loads(read_bytes(self.roots / KNOWN, MAX_TEXT))
            if data["key"] != self.key:
                return {}
            rows = {attr: tuple(map(Path, row)) for attr, row in data["targets"].items()}
            return {
                attr: Target(attr, drv, out, is_built=True) for attr, (drv, out) in rows.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _is_kept(self, target: Target) -> bool:
        """Return whether TARGET and its derivation are there, and its GC root keeps it."""
        root = self.roots / target.attr
        kept = root.is_symlink() and root.readlink() == target.out
        return kept and target.out.exists() and target.drv.exists()


def _text(name: str, env: Mapping[str, str]) -> str:
    """Return what the configuration file NAME has, "" for none."""
    try:
        content = read_bytes(Path(env.get("HOME") or "/") / name, MAX_TEXT)
    except (OSError, ValueError):
        return ""
    return content.decode("utf-8", "replace")
