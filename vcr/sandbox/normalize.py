"""What a RUN leaves behind that says nothing about the app and is different every time.

Only what programs make again when it is missing, or never read. Each rule has a name
under which vcr.toml's [normalize] switches it; what a rule did is reported.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from vcr.formats.tree import Content, Node


@dataclass(frozen=True)
class Rule:
    """Paths, and what is done with them; WHY goes into the report."""

    paths: re.Pattern[str]
    action: Literal["remove", "empty"]
    why: str


# Names are those of vcr.toml.
RULES = {
    "ldconfig": Rule(
        re.compile(r"var/cache/ldconfig/aux-cache"), "remove", "it stores inode numbers and times"
    ),
    "apt-cache": Rule(
        re.compile(r"var/cache/apt/(?:src)?pkgcache\.bin|var/cache/apt/archives/[^/]+\.deb"),
        "remove",
        "apt makes it again",
    ),
    "apt-lists": Rule(
        re.compile(r"var/lib/apt/lists/.+"), "remove", "it is the archive's state, not the app's"
    ),
    "logs": Rule(
        re.compile(
            r"var/log/(?:apt/.+|dpkg\.log|alternatives\.log|bootstrap\.log|faillog|lastlog|wtmp|btmp"
            r"|yum\.log|dnf.*\.log|apk\.log)|(?:root|home/[^/]+)/\.npm/_logs/.+"
        ),
        "remove",
        "it holds times",
    ),
    "machine-id": Rule(
        re.compile(r"etc/machine-id|var/lib/dbus/machine-id"), "empty", "it is random"
    ),
    "backups": Rule(
        re.compile(r"var/cache/debconf/[^/]+-old|var/lib/dpkg/[^/]+-old|etc/(?:passwd|group|g?shadow|sub[ug]id)-"),
        "remove",
        "it is the state before",
    ),
}  # fmt: skip


def normalize(nodes: dict[str, Node], rules: Iterable[str]) -> dict[str, str]:
    """Apply RULES, by name, to the NODES of a layer; return path → what was done."""
    done: dict[str, str] = {}
    for name in rules:
        rule = RULES[name]
        for path in sorted(path for path in nodes if rule.paths.fullmatch(path)):
            node = nodes[path]
            if node.kind == "dir" or (rule.action == "empty" and node.kind != "file"):
                continue
            if rule.action == "remove":
                del nodes[path]
            elif node.content.size:
                nodes[path] = replace(node, content=Content(0))
            else:
                continue
            done[path] = f"{rule.action.removesuffix('e').replace('empty', 'empti')}ed: {rule.why}"
    return done
