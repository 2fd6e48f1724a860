"""The state in which dpkg(1) finds packages unpacked: what is left is to configure them.

Unpacking on the host's side is fast and needs no emulation; maintainer scripts then run
in a build machine (`dpkg --configure -a`). The files are those that dpkg 1.22 keeps under
/var/lib/dpkg: https://manpages.debian.org/trixie/dpkg-dev/deb-triggers.5 and
https://git.dpkg.org/cgit/dpkg/dpkg.git/tree/lib/dpkg for the formats of its database.
"""

import hashlib
import re

from vcr.formats.debs import Package
from vcr.formats.tar import entries
from vcr.formats.tree import Node, Tree, text_file

DATABASE = "var/lib/dpkg"
UNPACKED = "Status: install ok unpacked"
APT_SOURCES = "etc/apt/sources.list.d/vcr.sources"
APT_SETTINGS = "etc/apt/apt.conf.d/vcr"
# Descriptions in other languages are half of what `apt-get update` would fetch.
APT_CONFIG = 'Acquire::Languages "none";\n'


def put_database(tree: Tree, packages: list[Package]) -> None:
    """Write dpkg's database of PACKAGES, all of them unpacked, into TREE."""
    status: list[str] = []
    triggers: dict[str, list[str]] = {}
    for package in packages:
        name = qualified(package)
        members = {
            path: node
            for path, node in entries(package.control_tar)
            if isinstance(node, Node) and node.kind == "file" and path != "control"
        }
        for path, node in members.items():
            tree.put(f"{DATABASE}/info/{name}.{path}", node.owned(0, 0))
        listed = [f"/{path}" if path else "/." for path, _ in entries(package.data)]
        tree.put(f"{DATABASE}/info/{name}.list", text_file("".join(f"{p}\n" for p in listed)))
        status.append(_paragraph(tree, package, members))
        for trigger, who in _interests(name, members):
            triggers.setdefault(trigger, []).append(who)
    tree.put(f"{DATABASE}/status", text_file("\n".join(status)))
    tree.put(f"{DATABASE}/available", text_file(""))
    tree.put(f"{DATABASE}/info/format", text_file("1\n"))
    _put_triggers(tree, triggers)


def put_apt(tree: Tree, sources: str) -> None:
    """Let apt in TREE read SOURCES, in the format of sources.list(5), deb822 style."""
    tree.put(APT_SOURCES, text_file(sources))
    tree.put(APT_SETTINGS, text_file(APT_CONFIG))


def qualified(package: Package) -> str:
    """Return what dpkg calls the files of PACKAGE: with its architecture if several fit."""
    same = re.search(r"^Multi-Arch:\s*same\s*$", package.control, re.MULTILINE)
    arch = re.search(r"^Architecture:\s*(\S+)", package.control, re.MULTILINE)
    return f"{package.name}:{arch[1]}" if same and arch else package.name


def _paragraph(tree: Tree, package: Package, members: dict[str, Node]) -> str:
    head, _, rest = package.control.strip().partition("\n")
    text = f"{head}\n{UNPACKED}\n{rest}\n"
    conffiles = members.get("conffiles")
    paths = conffiles.content.read().decode().split("\n") if conffiles else []
    sums = _md5sums(tree, [path.strip() for path in paths if path.startswith("/")])
    return text + ("Conffiles:\n" + "".join(f" {p} {s}\n" for p, s in sums) if sums else "")


def _md5sums(tree: Tree, paths: list[str]) -> list[tuple[str, str]]:
    found = []
    for path in paths:
        node = tree.get(tree.locate(path.strip("/")))
        if node is not None and node.kind == "file":
            digest = hashlib.md5(node.content.read(), usedforsecurity=False)
            found.append((path, digest.hexdigest()))
    return found


def _interests(name: str, members: dict[str, Node]) -> list[tuple[str, str]]:
    """Return (trigger, who waits for it) of a package's `triggers` file."""
    if "triggers" not in members:
        return []
    found = []
    for line in members["triggers"].content.read().decode().splitlines():
        directive, _, trigger = line.strip().partition(" ")
        if directive.startswith("interest"):
            suffix = "/noawait" if directive.endswith("-noawait") else ""
            found.append((trigger.strip(), name + suffix))
    return found


def _put_triggers(tree: Tree, triggers: dict[str, list[str]]) -> None:
    files = {trigger: who for trigger, who in triggers.items() if trigger.startswith("/")}
    lines = [f"{trigger} {each}\n" for trigger, who in sorted(files.items()) for each in who]
    tree.put(f"{DATABASE}/triggers/File", text_file("".join(lines)))
    for trigger, who in sorted(triggers.items()):
        if trigger not in files:
            text = "".join(f"{each}\n" for each in who)
            tree.put(f"{DATABASE}/triggers/{trigger}", text_file(text))
