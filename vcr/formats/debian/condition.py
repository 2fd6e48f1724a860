"""What programs that scripts use for conditions say, as far as a tree of files decides it.

True, False, or None for what is not known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vcr.formats.failure import Failure
from vcr.formats.tree import Node, Tree

type Words = Sequence[str | None]
type Status = Callable[[], bool | None]

# Where only packages put files, and where nothing runs: what is not there is not there.
SETTLED = ("usr/", "bin/", "sbin/", "lib/", "lib64/", "run/", "proc/", "sys/")
PATH = ("usr/bin", "usr/sbin")
# dpkg(1), --compare-versions: what an empty version, of no earlier installation, is.
_NO_VERSION = {
    "lt": True, "le": True, "eq": False, "ne": True, "ge": False, "gt": False,
    "lt-nl": False, "le-nl": False, "ge-nl": True, "gt-nl": True,
    "<": True, "<<": True, "<=": True, "=": False, ">=": False, ">>": False, ">": False,
}  # fmt: skip


@dataclass(frozen=True)
class System:
    """The files of a base, and its architecture as dpkg calls it."""

    tree: Tree
    arch: str

    def node(self, path: str) -> Node | None:
        """Return what is at PATH, links followed."""
        try:
            return self.tree.get(self.tree.resolve(path))
        except Failure:  # a loop of links
            return None

    def status(self, words: Words) -> bool | None:
        """Return whether the command WORDS succeeds."""
        match words:
            case [":" | "true", *_]:
                return True
            case ["false", *_]:
                return False
            case ["[", *rest, "]"]:
                return self._test(rest)
            case ["test", *rest]:
                return self._test(rest)
            case ["dpkg", "--compare-versions", "", str(operator), str(other)] if other:
                return _NO_VERSION.get(operator)
        return True if self.output(words) else None

    def output(self, words: Words) -> str | None:
        """Return what the command WORDS writes."""
        match words:
            case ["echo", *rest] if None not in rest and rest[:1] not in (["-n"], ["-e"]):
                return " ".join(word for word in rest if word is not None) + "\n"
            case ["uname"] | ["uname", "-s"]:
                return "Linux\n"
            case ["dpkg", "--print-architecture"]:
                return f"{self.arch}\n"
            case ["which", str(name)] | ["command", "-v", str(name)] if "/" not in name:
                found = (f"{folder}/{name}" for folder in PATH if self.node(f"{folder}/{name}"))
                path = next(found, "")
                return f"/{path}\n" if path else None
        return None

    def _test(self, words: Words) -> bool | None:
        """Return what test(1) says of WORDS."""
        if "-o" in words[1:-1]:
            at = list(words).index("-o", 1)
            return either(self._test(words[:at]), lambda: self._test(words[at + 1 :]))
        if "-a" in words[1:-1]:
            at = list(words).index("-a", 1)
            return both(self._test(words[:at]), lambda: self._test(words[at + 1 :]))
        if words[:1] == ["!"] and len(words) > 1:
            return opposite(self._test(words[1:]))
        return self._primary(words)

    def _primary(self, words: Words) -> bool | None:
        match words:
            case [] | [""] | ["-n", ""]:
                return False
            case [str()] | ["-z", ""] | ["-n", str()]:
                return True
            case ["-z", str()]:
                return False
            case [str(operator), str(path)]:
                return self._file(operator, path)
            case [str(a), str(operator), str(b)]:
                return _compared(a, operator, b)
        return None

    def _file(self, operator: str, path: str) -> bool | None:
        if not path.startswith("/"):
            return None
        path = path.strip("/")
        node = self.node(path)
        if operator in {"-h", "-L"}:
            at = self.tree.get(self.tree.locate(path))
            return at.kind == "link" if at else self._absent(path)
        if operator not in {"-e", "-f", "-d", "-r", "-s", "-x"}:
            return None
        if node is None:
            return self._absent(path)
        return {
            "-f": node.kind == "file",
            "-d": node.kind == "dir",
            "-s": node.content.size > 0,
            "-x": bool(node.mode & 0o111),
        }.get(operator, True)

    def _absent(self, path: str) -> bool | None:
        """Return whether PATH, which no package has, is there: a script may have made it."""
        return False if f"{path}/".startswith(SETTLED) else None


def opposite(status: bool | None) -> bool | None:  # noqa: FBT001 -- a status is what it is about
    """Return `! STATUS`."""
    return None if status is None else not status


def both(first: bool | None, then: Status) -> bool | None:  # noqa: FBT001
    """Return FIRST && what THEN gives, which is asked only if it decides."""
    if first is False:
        return False
    second = then()
    return False if second is False else None if first is None else second


def either(first: bool | None, then: Status) -> bool | None:  # noqa: FBT001
    """Return FIRST || what THEN gives, which is asked only if it decides."""
    if first is True:
        return True
    second = then()
    return True if second is True else None if first is None else second


def _compared(a: str, operator: str, b: str) -> bool | None:
    if operator in {"=", "==", "!="}:
        return (a == b) is (operator != "!=")
    try:
        left, right = int(a), int(b)
    except ValueError:
        return None
    return {
        "-eq": left == right, "-ne": left != right, "-lt": left < right,
        "-le": left <= right, "-gt": left > right, "-ge": left >= right,
    }.get(operator)  # fmt: skip
