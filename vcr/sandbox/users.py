"""Names of users and groups, looked up in the image's own /etc/passwd and /etc/group.

Formats: passwd(5), group(5). Numbers need no entry.
"""

from dataclasses import dataclass

from .failure import Failure
from .tree import Tree

MAX_ID = (1 << 31) - 1  # as Docker; also what every tar header and crun accept


@dataclass(frozen=True)
class Account:
    """Who a process runs as, or a file belongs to."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()  # supplementary
    home: str = "/"


def find_account(tree: Tree, text: str) -> Account:
    """Return the account for TEXT: `user`, `user:group` or numbers; "" is root.

    Raises Failure for a name that is not in the image.
    """
    user, colon, group = text.partition(":")
    rows = _rows(tree, "etc/passwd", 7)
    entry = next((row for row in rows if user in {row[0], row[2]}), None) if user else None
    if not user:
        uid, gid, name, home = 0, 0, "root", "/root"
    elif entry is not None:
        uid, gid, name, home = int(entry[2]), int(entry[3]), entry[0], entry[5]
    elif user.isdecimal():
        uid, gid, name, home = _number(user), 0, "", "/"
    else:
        raise _unknown(user, "user", [row[0] for row in rows])
    groups = _rows(tree, "etc/group", 4)
    if colon and group:
        return Account(uid, _gid(groups, group), (), home)
    extra = sorted(int(row[2]) for row in groups if name and name in row[3].split(","))
    return Account(uid, gid, tuple(extra), home)


def find_owner(tree: Tree, text: str) -> tuple[int, int]:
    """Return (uid, gid) for --chown=TEXT; a user without a group owns with the same number.

    https://docs.docker.com/reference/dockerfile/#copy---chown---chmod
    """
    user, colon, _ = text.partition(":")
    account = find_account(tree, text)
    return account.uid, account.gid if colon or not user.isdecimal() else int(user)


def _gid(groups: list[list[str]], text: str) -> int:
    for row in groups:
        if row[0] == text:
            return int(row[2])
    if text.isdecimal():
        return _number(text)
    raise _unknown(text, "group", [row[0] for row in groups])


def _number(text: str) -> int:
    if not text.isascii() or int(text) > MAX_ID:
        raise Failure(f"{text} is no user or group number", fix=f"the largest is {MAX_ID}")
    return int(text)


def _rows(tree: Tree, path: str, fields: int) -> list[list[str]]:
    node = tree.get(tree.resolve(path))
    if node is None or node.kind != "file":
        return []
    lines = node.content.read().decode("utf-8", "replace").splitlines()
    rows = (line.split(":") for line in lines if line and not line.startswith("#"))
    return [row for row in rows if len(row) == fields and row[2].isdecimal()]


def _unknown(name: str, kind: str, known: list[str]) -> Failure:
    file = "/etc/passwd" if kind == "user" else "/etc/group"
    return Failure(
        f"there is no {kind} {name!r} in the image",
        why=f"{file} has {', '.join(known) if known else 'no entries'}",
        fix=f"use a number, or a base that has the {kind}",
    )
