"""Names of users and groups, looked up in the image's own /etc/passwd and /etc/group.

Formats: passwd(5), group(5). The rules are those by which Docker starts a container, GetExecUser
of https://github.com/moby/sys/blob/main/user/user.go: a number is never a name, the first row
wins, a row may lack fields at its end, numbers need no row, and nobody is 0, with the group and
the home that a row gives to 0. Two rules are stricter. Docker reads as 0, which is root's, what
is not a number in a row; here such a row is passed over, and so is a comment in /etc/passwd.
guest/step/users.go has the same rules; tests/vectors/users.json tries both.
"""

import re
from dataclasses import dataclass

from vcr.formats.failure import Failure
from vcr.formats.tree import Tree

MAX_ID = (1 << 31) - 1  # as Docker; also what every tar header and crun accept
BLANKS = " \t\r\v\f"
HOME = "/"  # as runc and crun have it for a user without one
_NUMBER = re.compile(r"[+-]?[0-9]+")
_ID = re.compile(r"(?:\+?0*[0-9]{1,10}|-0+)")


@dataclass(frozen=True)
class Account:
    """Who a process runs as, or a file belongs to."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()  # supplementary
    home: str = HOME


@dataclass(frozen=True)
class _Row:
    name: str
    ids: tuple[int, ...]  # of passwd the user's and the group's, of group one
    rest: tuple[str, ...]


def find_account(tree: Tree, text: str) -> Account:
    """Return the account for TEXT: `user`, `user:group` or numbers; "" is 0.

    Raises Failure for a name that is not in the image.
    """
    user, _, group = text.partition(":")
    user = user or "0"
    rows = _rows(tree, "etc/passwd", 2)
    row = _find(rows, user)
    if row is not None:
        uid, gid = row.ids
        name, home = row.name, "".join(row.rest[1:2]) or HOME
    elif _is_number(user):
        uid, gid, name, home = _number(user), 0, "", HOME
    else:
        raise _unknown(user, "user", rows)
    groups = _rows(tree, "etc/group", 1)
    if group:
        return Account(uid, _gid(groups, group), (), home)
    extra = sorted(r.ids[0] for r in groups if name and name in "".join(r.rest[:1]).split(","))
    return Account(uid, gid, tuple(extra), home)


def find_owner(tree: Tree, text: str) -> tuple[int, int]:
    """Return (uid, gid) for --chown=TEXT; a user without a group owns with the same number.

    https://docs.docker.com/reference/dockerfile/#copy---chown---chmod
    """
    user, colon, _ = text.partition(":")
    account = find_account(tree, text)
    return account.uid, account.gid if colon or not _is_number(user) else account.uid


def _gid(groups: list[_Row], text: str) -> int:
    row = _find(groups, text)
    if row is not None:
        return row.ids[0]
    if _is_number(text):
        return _number(text)
    raise _unknown(text, "group", groups)


def _find(rows: list[_Row], key: str) -> _Row | None:
    """Return the first of ROWS for the name or number KEY; raises Failure if it is too large."""
    if _is_number(key):
        number = _number(key)
        return next((row for row in rows if row.ids[0] == number), None)
    return next((row for row in rows if row.name == key), None)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _number(text: str) -> int:
    if not _is_id(text):
        raise Failure(f"{text} is not a user or group number", fix=f"the largest is {MAX_ID}")
    return _value(text)


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None and _value(text) <= MAX_ID


def _value(text: str) -> int:
    """Return the number TEXT, of any length: Python refuses thousands of digits, zeros, too."""
    return int(text.lstrip("+-0") or "0")


def _rows(tree: Tree, path: str, numbers: int) -> list[_Row]:
    """Return the rows of the file PATH that have NUMBERS from their third field on."""
    node = tree.get(tree.resolve(path))
    if node is None or node.kind != "file":
        return []
    end = 2 + numbers
    found = []
    for line in node.content.read().decode("utf-8", "replace").split("\n"):
        row = line.strip(BLANKS).split(":")
        ids = row[2:end]
        if len(ids) == numbers and all(map(_is_id, ids)) and not row[0].startswith("#"):
            found.append(_Row(row[0], tuple(map(_value, ids)), tuple(row[end:])))
    return found


def _unknown(name: str, kind: str, rows: list[_Row]) -> Failure:
    file = "/etc/passwd" if kind == "user" else "/etc/group"
    known = ", ".join(row.name for row in rows)
    return Failure(
        f"there is no {kind} {name!r} in the image",
        why=f"{file} has {known or 'no entries'}",
        fix=f"use a number, or a base that has the {kind}",
    )
