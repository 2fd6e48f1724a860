"""Users are looked up in the image's own files, never in the host's."""

import pytest

from vcr.formats.failure import Failure
from vcr.formats.tree import Node, Tree, text_file
from vcr.formats.users import Account, find_account, find_owner

USERS = "root:x:0:0:root:/root:/bin/sh\napp:x:100:200:App:/srv:/bin/sh\nbroken\n"
GROUP = "root:x:0:\napp:x:200:\nmedia:x:300:other,app\nlog:x:301:app\n"


@pytest.fixture
def tree() -> Tree:
    tree = Tree()
    tree.put("etc/passwd", text_file(USERS))
    tree.put("etc/group", text_file(GROUP))
    return tree


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("", Account(0, 0, (), "/root")),
        ("app", Account(100, 200, (300, 301), "/srv")),
        ("100", Account(100, 200, (300, 301), "/srv")),
        ("app:media", Account(100, 300, (), "/srv")),
        ("app:7", Account(100, 7, (), "/srv")),
        ("1234", Account(1234, 0, (), "/")),
        ("1234:5678", Account(1234, 5678, (), "/")),
    ],
)
def test_accounts(tree: Tree, text: str, account: Account) -> None:
    assert find_account(tree, text) == account


@pytest.mark.parametrize(
    ("text", "owner"),
    [("app", (100, 200)), ("55", (55, 55)), ("55:media", (55, 300)), ("app:5", (100, 5))],
)
def test_owners(tree: Tree, text: str, owner: tuple[int, int]) -> None:
    assert find_owner(tree, text) == owner


@pytest.mark.parametrize("text", ["nobody", "app:nogroup", "99999999999", "1:99999999999", "-1"])
def test_what_is_not_there_is_refused(tree: Tree, text: str) -> None:
    with pytest.raises(Failure):
        find_account(tree, text)


def test_links_of_etc_are_followed_inside_the_image() -> None:
    tree = Tree()
    tree.put("etc/passwd", Node("link", target="/../../data/passwd"))
    tree.put("data/passwd", text_file("only:x:1:2::/:\n"))
    assert find_account(tree, "only").uid == 1


def test_a_number_of_thousands_of_digits_is_a_number(tree: Tree) -> None:
    zeros = "0" * 5000
    assert find_account(tree, f"{zeros}100") == find_account(tree, "100")
    tree.put("etc/passwd", text_file(f"a:x:{zeros}7:{zeros}8::/a:\nb:x:1{zeros}:0::/b:\n"))
    assert find_account(tree, "a") == Account(7, 8, (), "/a")
    for text in ("b", f"1{zeros}", f"-1{zeros}"):
        with pytest.raises(Failure):
            find_account(tree, text)
