"""A section of vcr.toml that stands for an image, and how it is written."""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from operator import eq
from typing import Any

from vcr.dockerfile.state import DEFAULT_PATH
from vcr.lock.debian.commands import APT, COPIED, package_of

# What is in every image of Debian, and what RUN, CMD and scripts of apps use unnamed.
SHELL = (
    *("bash", "dash", "coreutils", "sed", "grep", "mawk", "findutils", "tar", "gzip"),
    *("base-passwd", "base-files"),
)
UTF8 = {"LANG": "C.UTF-8"}
# Users that the scripts of packages make, with numbers of their own.
_SCRIPTED = frozenset(
    {"haproxy", "memcache", "mosquitto", "mysql", "postgres", "rabbitmq", "redis", "valkey"}
)
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")  # https://toml.io/en/v1.0.0#keys


@dataclass(frozen=True)
class Suggestion:
    """Packages that an image is used for, and of its config what apps count on."""

    packages: tuple[str, ...]
    configure: bool = False
    keys: dict[str, Any] = field(default_factory=dict)  # further ones of [base.NAME]
    version: str = ""  # in trixie, of what the image's tags number; a name may precede it

    def calling(self, commands: Collection[str]) -> "Suggestion":
        """Return it with the packages that have COMMANDS, or with apt, if that is one of them."""
        if not APT.isdisjoint(commands):  # it installs the others, onto configured packages
            copied = sorted(COPIED.intersection(commands))  # no file works without its package
            more, is_configured = ["apt", "ca-certificates", *map(package_of, copied)], True
        else:
            more, is_configured = [package_of(command) for command in commands], self.configure
        links = {path.rpartition("/")[2] for path in self.keys.get("links", {})}
        known = {*self.packages, *map(package_of, links), ""}
        added = tuple(dict.fromkeys(each for each in more if each not in known))
        return replace(self, packages=(*self.packages, *added), configure=is_configured)

    def other_version(self, tag: str) -> str:
        """Return the version that Debian has where TAG of the image names another one, or ""."""
        name, _, own = self.version.rpartition(" ")
        asked = _NUMBERS.match(tag)
        if not own or not (asked or name):
            return ""
        is_same = asked and all(map(eq, asked[0].split("."), own.split(".")))
        return "" if is_same and not name else self.version

    def section(self, name: str) -> str:
        """Return the section of vcr.toml for the image NAME."""
        keys: dict[str, Any] = {"packages": self.packages, **self.keys}
        if self.configure:
            keys["configure"] = True
            made = {n: number for n, number in keys.pop("users", {}).items() if n not in _SCRIPTED}
            keys |= {"users": made} if made else {}
        return f"[base.{json.dumps(name)}]\n{''.join(_lines(keys))}"


def image(
    *packages: str, shell: bool = True, configure: bool = False, version: str = "", **keys: Any
) -> Suggestion:
    """Return the suggestion of PACKAGES, with a SHELL, and of further KEYS of [base.NAME]."""
    more = SHELL if shell and not configure else ()
    return Suggestion((*packages, *more), configure, keys, version)


def entrypoint(script: str, name: str = "docker-entrypoint.sh") -> dict[str, Any]:
    """Return the keys of an image that begins with SCRIPT, which is called NAME there."""
    return {"entrypoint": (name,), "files": {f"/usr/local/bin/{name}": script}}


def options_of(program: str) -> str:
    """Return a script that runs its words; PROGRAM with them where the first is an option."""
    return f"""\
#!/bin/sh
case ${{1:-}} in -*) set -- {program} "$@" ;; esac
exec "$@"
"""


def path(*directories: str) -> dict[str, str]:
    """Return the variable PATH with DIRECTORIES before what it has in any image."""
    return {"PATH": ":".join((*directories, DEFAULT_PATH))}


def _lines(keys: dict[str, Any]) -> Iterator[str]:
    for key, value in keys.items():
        if key != "files":
            yield f"{key} = {_value(value)}\n"
    for file, text in keys.get("files", {}).items():
        yield f"files.{json.dumps(file)} = '''\n{text}'''\n"


def _value(value: Any) -> str:
    """Return VALUE as TOML: its texts are JSON's."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(each)}' for key, each in value.items())} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key)
