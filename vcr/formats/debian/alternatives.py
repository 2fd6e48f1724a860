"""The links that update-alternatives(1) would set, by what packages' scripts say of them.

Each group is in automatic mode: the choice with the highest priority, and of equal ones the first,
packages in the order of their names. What a script leaves open is not set, but said.
https://git.dpkg.org/cgit/dpkg/dpkg.git/tree/utils/update-alternatives.c
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from vcr.formats.debian.condition import System
from vcr.formats.debian.script import PROGRAM, Script
from vcr.formats.debian.syntax import UnreadableError
from vcr.formats.tree import Node, Tree, text_file

DIRECTORY = "etc/alternatives"
DATABASE = "var/lib/dpkg/alternatives"
MAX_NOTES = 100  # lines
_NO_NAME = re.compile(r"[\x00-\x20/\x7f]")
_NO_PATH = re.compile(r"[\x00-\x1f\x7f]")
# Options before the action: how many arguments each has.
_OPTIONS = {
    "--quiet": 0, "--verbose": 0, "--debug": 0, "--force": 0, "--skip-auto": 0,
    "--altdir": 1, "--admindir": 1, "--instdir": 1, "--root": 1, "--log": 1,
}  # fmt: skip
_HARMLESS = frozenset({"--auto", "--display", "--list", "--query", "--get-selections"})


@dataclass(frozen=True)
class Postinst:
    """The script that dpkg runs when it configures a package."""

    package: str
    arch: str  # of the package, as dpkg calls it
    text: str


@dataclass(frozen=True)
class Choice:
    """A path that a group may lead to, with what goes along with it: name → path."""

    path: str
    priority: int
    slaves: dict[str, str]


@dataclass
class Group:
    """A link, its choices by path, and the links that follow: name → link."""

    link: str
    choices: dict[str, Choice] = field(default_factory=dict)
    slaves: dict[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Choice | None:
        """Return the choice of automatic mode."""
        choices = list(self.choices.values())
        return max(choices, key=lambda choice: choice.priority) if choices else None


@dataclass
class Alternatives:
    """What scripts have said so far, about the files of a base."""

    system: System
    groups: dict[str, Group] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what is left open, a line each

    def read(self, script: Postinst) -> None:
        """Follow SCRIPT; packages have to come in the order of their names."""

        def call(words: list[str | None], certain: bool) -> None:  # noqa: FBT001
            try:
                self._call(script.package, words, certain=certain)
            except ValueError:
                self._note(script.package, "a call of update-alternatives is not understood")

        known: dict[str, str | None] = {
            "DPKG_ROOT": "",
            "DPKG_MAINTSCRIPT_NAME": "postinst",
            "DPKG_MAINTSCRIPT_PACKAGE": script.package,
            "DPKG_MAINTSCRIPT_ARCH": script.arch,
        }
        follower = Script(self.system, known, call)
        try:
            follower.follow(script.text)
        except UnreadableError as error:
            if PROGRAM in script.text:
                self._note(script.package, f"its script is not understood: {error}")
        for path in follower.missed:
            self._note(script.package, f"{path}, which its script reads, is not understood")

    def _call(self, package: str, words: list[str | None], *, certain: bool) -> None:
        action, rest = _action(words)
        if action in _HARMLESS:
            return
        if action == "--install":
            self._install(package, rest, certain=certain)
        elif not certain or None in rest:
            if action in {"--remove", "--remove-all"}:
                return  # what an earlier version had: there was none
            raise ValueError(action)
        elif action in {"--remove", "--remove-all"} and rest:
            is_one = action == "--remove" and len(rest) > 1
            self._remove(str(rest[0]), str(rest[1]) if is_one else None)
        else:
            raise ValueError(action)

    def _install(self, package: str, words: list[str | None], *, certain: bool) -> None:
        link, name, path, priority, *more = words
        if path is not None and self.system.node(path.strip("/")) is None:
            return
        if not certain or link is None or name is None or path is None or priority is None:
            told = f"the alternative {name}" if name else "an alternative"
            self._note(package, f"{told} depends on more than its script says")
            return
        _check(name, link, path)
        slaves, links = {}, {}
        while more:
            option, slave_link, slave, slave_path, *more = more
            if option != "--slave" or slave_link is None or slave is None or slave_path is None:
                raise ValueError(option)
            _check(slave, slave_link, slave_path)
            slaves[slave], links[slave] = slave_path, slave_link
        group = self.groups.setdefault(name, Group(link))
        group.link = link
        group.slaves |= links
        group.choices[path] = Choice(path, int(priority), slaves)
        self._set(name, group)

    def _note(self, package: str, what: str) -> None:
        note = f"{package}: {what}"
        if note not in self.notes:
            self.notes.append(note)

    def _remove(self, name: str, path: str | None) -> None:
        """Remove a choice of the group NAME, or all of them."""
        group = self.groups.get(name, Group(""))
        for choice in [path] if path else list(group.choices):
            group.choices.pop(choice, None)
        if name in self.groups:
            self._set(name, group)

    def _set(self, name: str, group: Group) -> None:
        """Let the links of GROUP, called NAME, lead to its best choice."""
        best = group.best
        paths = {name: best.path, **best.slaves} if best else {}
        links = {name: group.link, **group.slaves}
        for each, link in sorted(links.items()):
            path = paths.get(each, "")
            if path and self.system.node(path.strip("/")) is not None:
                self._link(each, link, path)
            else:
                self._unlink(each, link)
        record = f"{DATABASE}/{name}"
        if best:
            self.system.tree.put(record, text_file(_record(group)))
        else:
            self.system.tree.remove(record)
            del self.groups[name]

    def _link(self, name: str, link: str, path: str) -> None:
        tree = self.system.tree
        at = tree.locate(link.strip("/"))
        there = tree.get(at)
        if there is not None and there.kind != "link":
            return  # as update-alternatives: it is not replaced
        if not _has_room(tree, at):
            return
        tree.put(at, Node("link", 0o777, target=f"/{DIRECTORY}/{name}"))
        tree.put(f"{DIRECTORY}/{name}", Node("link", 0o777, target=path))

    def _unlink(self, name: str, link: str) -> None:
        tree, target = self.system.tree, f"/{DIRECTORY}/{name}"
        at = tree.locate(link.strip("/"))
        there = tree.get(at)
        if there is not None and there.target == target:
            tree.remove(at)
            tree.remove(target.strip("/"))


def put_alternatives(tree: Tree, arch: str, scripts: Sequence[Postinst]) -> list[str]:
    """Set in TREE, for ARCH, what SCRIPTS install; return what they leave open, a line each."""
    alternatives = Alternatives(System(tree, arch))
    # Twice, since a choice may be the link of another package's group.
    for script in (*scripts, *scripts):
        alternatives.read(script)
    more = len(alternatives.notes) - MAX_NOTES
    told = [f"and {more} more that are left open"] if more > 0 else []
    return alternatives.notes[:MAX_NOTES] + told


def _check(name: str, link: str, path: str) -> None:
    """Raise ValueError for what update-alternatives refuses, and for a link with `..` in it."""
    if not name or _NO_NAME.search(name) or name in {".", ".."}:
        raise ValueError(name)
    for each in (link, path):
        if not each.startswith("/") or _NO_PATH.search(each):
            raise ValueError(each)
    if ".." in link.split("/"):
        raise ValueError(link)


def _action(words: list[str | None]) -> tuple[str, list[str | None]]:
    """Return the action of a call, and its arguments; options are left out."""
    rest = list(words)
    while rest and rest[0] in _OPTIONS:
        rest = rest[1 + _OPTIONS[str(rest[0])] :]
    if not rest or rest[0] is None:
        raise ValueError("no action")
    return rest[0], rest[1:]


def _has_room(tree: Tree, path: str) -> bool:
    """Return whether the nearest parent of PATH that is there is a directory."""
    above = path.rpartition("/")[0]
    while above not in tree:
        above = above.rpartition("/")[0]
    return tree.nodes[above].kind == "dir"


def _record(group: Group) -> str:
    """Return what update-alternatives keeps of GROUP: how, the links, and the choices."""
    lines = ["auto", group.link]
    for slave, link in sorted(group.slaves.items()):
        lines += [slave, link]
    lines.append("")
    for path, choice in sorted(group.choices.items()):
        lines += [path, str(choice.priority)]
        lines += [choice.slaves.get(slave, "") for slave in sorted(group.slaves)]
    return "\n".join([*lines, "", ""])
