"""What [base.NAME] adds to its packages: files, links, users, and what it may not."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vcr.formats.failure import Failure
from vcr.formats.tar import LAYER_FILE, entries, write
from vcr.formats.tree import Node, Tree, directory, text_file
from vcr.model.sections.base import Base
from vcr.sandbox.bases.additions import Job, _build

ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh"  # without an end


def lower(tmp_path: Path) -> Path:
    tree = Tree()
    for path, node in {
        "bin": Node("link", 0o777, target="usr/bin"),
        "usr/bin": directory(),
        "etc/app.conf": text_file("of the package", 0o600),
        "etc/passwd": text_file(ACCOUNTS),
        "etc/group": text_file("root:x:0:\nwww-data:x:33:\n"),
        "etc/shadow": text_file("root:*:::::::\n", 0o640),
    }.items():
        tree.put(path, node)
    write(tmp_path / "lower.tar", tree.walk(), 0)
    return tmp_path / "lower.tar"


def built(tmp_path: Path, **given: Any) -> dict[str, Node | str]:
    """Return what the layer has, by path; given are files, links and users."""
    keys: dict[str, Any] = {"files": {}, "links": {}, "users": {}, **given}
    _build(Job(**keys, lower=(lower(tmp_path),), epoch=7), tmp_path / "out")
    return dict(entries(tmp_path / "out" / LAYER_FILE))


def text_of(node: Node | str | None) -> str:
    assert isinstance(node, Node)
    return node.content.read().decode()


def test_files_replace_what_a_package_has_and_follow_its_links(tmp_path: Path) -> None:
    layer = built(
        tmp_path,
        files={"/etc/app.conf": "new", "/bin/run": "#!/bin/sh\n", "/srv/a/b": "", "/opt/l/x": "y"},
        links={"/opt/l": "/srv/l"},
    )
    modes = {p: (n.kind, oct(n.mode)) for p, n in layer.items() if isinstance(n, Node)}
    assert modes == {
        "etc/app.conf": ("file", "0o644"),
        "opt": ("dir", "0o755"),
        "opt/l": ("link", "0o777"),
        "srv": ("dir", "0o755"),
        "srv/a": ("dir", "0o755"),
        "srv/a/b": ("file", "0o644"),
        "srv/l": ("dir", "0o755"),
        "srv/l/x": ("file", "0o644"),
        "usr/bin/run": ("file", "0o755"),
    }
    assert text_of(layer["etc/app.conf"]) == "new"


def test_users_have_rows_and_from_1000_on_a_home(tmp_path: Path) -> None:
    layer = built(tmp_path, users={"web": 101, "node": 1000, "www-data": 33})
    assert text_of(layer["etc/passwd"]) == (
        f"{ACCOUNTS}\nnode:x:1000:1000::/home/node:/bin/sh\n"
        "web:x:101:101::/nonexistent:/usr/sbin/nologin\n"
    )
    assert text_of(layer["etc/group"]).endswith("www-data:x:33:\nnode:x:1000:\nweb:x:101:\n")
    shadow, home = layer["etc/shadow"], layer["home/node"]
    assert isinstance(shadow, Node)
    assert isinstance(home, Node)
    assert text_of(shadow) == "root:*:::::::\nnode:!:::::::\nweb:!:::::::\n"
    assert shadow.mode == 0o640
    assert (home.kind, home.uid, home.gid, home.mode) == ("dir", 1000, 1000, 0o755)
    assert "etc/gshadow" not in layer


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"files": {"/usr/bin": "x"}}, "/usr/bin, which is a directory"),
        ({"links": {"/usr": "/x"}}, "/usr, which is a directory"),
        ({"files": {"/bin/a": "1", "/usr/bin/a": "2"}}, "/usr/bin/a twice"),
        ({"files": {"/etc/passwd/x": ""}}, "/etc/passwd/x cannot be made"),
        ({"users": {"www-data": 34}}, "cannot have the user www-data with the number 34"),
        ({"users": {"web": 33}}, "cannot have the user web with the number 33"),
    ],
)
def test_what_does_not_go_with_the_packages(
    tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(Failure, match=words):
        built(tmp_path, **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        *(({"files": {path: ""}}, "is not an absolute path") for path in (
            "etc/x", "/", "/etc/", "//x", "/a/../b", "/a/./b", "/..", "/a\n", "/a/.wh.b",
            f"/{'x' * 256}",
        )),
        ({"files": {"/a": "", "/a/b": ""}}, "/a/b is below /a"),
        ({"files": {"/a": ""}, "links": {"/a": "b"}}, "/a is in files and in links"),
        ({"files": {"/a": "\0"}}, "NUL"),
        ({"links": {"/a": ""}}, "leads nowhere"),
        ({"users": {"a": 1, "b": 1}}, "the same number"),
        ({"users": {"a:b": 1}}, "is not the name of a user"),
        ({"users": {"a": 0}}, "greater than or equal to 1"),
    ],
)  # fmt: skip
def test_what_vcr_toml_cannot_say(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Base(packages=("dash",), **keys)


@pytest.mark.parametrize(
    "key", [{"files": {"/a": ""}}, {"links": {"/a": "b"}}, {"users": {"a": 1}}]
)
def test_an_image_has_its_own(key: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="is for packages; an image has its own"):
        Base(image="x", **key)


def test_additions_are_not_what_a_lock_is_about() -> None:
    keys: dict[str, Any] = {"files": {"/a": ""}, "links": {"/b": "c"}, "users": {"d": 1}}
    assert Base(packages=("dash",), **keys).source == Base(packages=("dash",))
