"""Names of users and groups, looked up in the image's own /etc/passwd and /etc/group.

Formats: passwd(5), group(5). Numbers need no entry.
"""

from dataclasses import dataclass

from vcr.formats.failure import Failure
from vcr.formats.tree import Tree

# Which fields are numbers, by how many fields a row has: of passwd(5), of group(5).
IDS = {7: slice(2, 4), 4: slice(2, 3)}
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
    elif is_number(user):
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
    return account.uid, account.gid if colon or not is_number(user) else _number(user)


def _gid(groups: list[list[str]], text: str) -> int:
    for row in groups:
        if row[0] == text:
            return int(row[2])
    if is_number(text):
        return _number(text)
    raise _unknown(text, "group", [row[0] for row in groups])


def is_number(text: str) -> bool:
    """Tell whether TEXT is written as a number: digits of ASCII, and no more than one has."""
    return text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID))


def _number(text: str) -> int:
    if int(text) > MAX_ID:
        raise Failure(f"{text} is no user or group number", fix=f"the largest is {MAX_ID}")
    return int(text)


def _rows(tree: Tree, path: str, fields: int) -> list[list[str]]:
    node = tree.get(tree.resolve(path))
    if node is None or node.kind != "file":
        return []
    lines = node.content.read().decode("utf-8", "replace").splitlines()
    rows = (line.split(":") for line in lines if line and not line.startswith("#"))
    return [row for row in rows if len(row) == fields and all(map(_is_id, row[IDS[fields]]))]


def _is_id(text: str) -> bool:
    return is_number(text) and int(text) <= MAX_ID


def _unknown(name: str, kind: str, known: list[str]) -> Failure:
    file = "/etc/passwd" if kind == "user" else "/etc/group"
    return Failure(
        f"there is no {kind} {name!r} in the image",
        why=f"{file} has {', '.join(known) if known else 'no entries'}",
        fix=f"use a number, or a base that has the {kind}",
    )
