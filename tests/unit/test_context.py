"""What COPY takes from the build context."""

import os
from pathlib import Path

import pytest

from vcr.dockerfile.context import Context
from vcr.dockerfile.ignore import Ignore
from vcr.dockerfile.text import Position
from vcr.errors import UsageError

AT = Position("Dockerfile", 3, 6)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "context"
    for name in ("app.py", "lib/a.py", "lib/deep/b.py", "data/x.txt", "data/y.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def select(root: Path, pattern: str, ignore: str = "") -> list[tuple[str, str, tuple[str, ...]]]:
    found = Context(root, Ignore.parse(ignore)).select(pattern, AT)
    return [(source.path, source.name, source.files) for source in found]


def mistake(root: Path, pattern: str, ignore: str = "") -> UsageError:
    with pytest.raises(UsageError) as caught:
        select(root, pattern, ignore)
    assert caught.value.what.startswith("Dockerfile:3:6: ")
    return caught.value


def test_a_file_a_directory_and_everything(root: Path) -> None:
    assert select(root, "app.py") == [("app.py", "app.py", ("app.py",))]
    assert select(root, "/lib/") == [
        ("lib", "lib", ("lib", "lib/a.py", "lib/deep", "lib/deep/b.py"))
    ]
    ((path, name, files),) = select(root, ".")
    assert (path, name) == (".", "")
    assert "data/y.txt" in files


def test_wildcards_match_one_level_and_give_a_source_each(root: Path) -> None:
    assert [path for path, _, _ in select(root, "data/*.txt")] == ["data/x.txt", "data/y.txt"]
    assert [path for path, _, _ in select(root, "*.py")] == ["app.py"]


def test_ignored_files_take_no_part(root: Path) -> None:
    assert select(root, "lib", "lib/deep")[0][2] == ("lib", "lib/a.py")
    assert select(root, "lib", "lib\n!lib/deep/b.py")[0][2] == ("lib", "lib/deep", "lib/deep/b.py")
    error = mistake(root, "app.py", "*.py")
    assert "excluded from the build context" in error.what
    assert error.fix == "add `!app.py` to .dockerignore"


def test_what_is_not_there_names_the_nearest(root: Path) -> None:
    assert mistake(root, "ap.py").fix.startswith("did you mean app.py")


def test_a_wildcard_may_match_nothing(root: Path) -> None:
    """`COPY package.json yarn.lock* ./` is what people write."""
    assert select(root, "*.nothing") == []


@pytest.mark.parametrize("pattern", ["../x", "lib/../../x", "/../x", "./lib/../.."])
def test_nothing_above_the_context_can_be_named(root: Path, pattern: str) -> None:
    assert "outside the build context" in mistake(root, pattern).what


def test_what_is_before_a_wildcard_is_a_path(root: Path) -> None:
    (root / "link").symlink_to("lib")
    (root / "li[b").mkdir()
    (root / "li[b/c").touch()
    assert select(root, "link/*.py") == [("lib/a.py", "a.py", ("lib/a.py",))]
    assert select(root, "li\\[b/*") == [("li[b/c", "c", ("li[b/c",))]
    assert "missing is not in the build context" in mistake(root, "missing/*").what


def test_a_path_may_go_up_inside(root: Path) -> None:
    assert select(root, "lib/../app.py") == select(root, "app.py")


def test_links_are_followed_as_if_the_context_were_the_root(root: Path) -> None:
    (root / "inside").symlink_to("lib/a.py")
    (root / "absolute").symlink_to("/lib")
    (root / "above").symlink_to("../../../lib/a.py")
    (root / "loop").symlink_to("loop")
    assert select(root, "absolute/a.py") == [("lib/a.py", "a.py", ("lib/a.py",))]
    assert select(root, "above") == [("lib/a.py", "above", ("lib/a.py",))]
    assert "more than 40 links" in mistake(root, "loop").what
    (root / "outside").symlink_to("/etc/passwd")
    (root / "lib" / "kept").symlink_to("/etc/passwd")
    assert select(root, "inside") == [("lib/a.py", "inside", ("lib/a.py",))]
    assert "etc/passwd is not in the build context" in mistake(root, "outside").what
    assert "etc/passwd is not in the build context" in mistake(root, "outs*").what
    # A link inside a copied directory is data: what it means is decided in the image.
    assert "lib/kept" in select(root, "lib")[0][2]


def test_pipes_are_refused_and_sockets_skipped(root: Path) -> None:
    os.mkfifo(root / "lib" / "pipe")
    assert "a device or a pipe" in mistake(root, "lib").what


def test_a_name_that_is_not_utf8_is_refused(root: Path) -> None:
    (Path(os.fsdecode(os.fsencode(root) + b"/lib/\xff"))).write_text("")
    assert "is not UTF-8" in mistake(root, "lib").what


def test_a_link_that_is_ignored_leads_nowhere(root: Path) -> None:
    (root / "data/l").symlink_to("/app.py")
    assert "data/l is excluded" in mistake(root, "data/l", "data").what


def test_with_parents_a_link_is_a_link(root: Path) -> None:
    (root / "data/l").symlink_to("nowhere")
    context = Context(root, Ignore.parse(""))
    for pattern in ("data/l", "**/l"):
        (source,) = context.select(pattern, AT, parents=True)
        assert (source.path, source.files) == ("data/l", ("data/l",))
    with pytest.raises(UsageError, match="data/missing is not in the build context"):
        context.select("data/missing", AT, parents=True)
