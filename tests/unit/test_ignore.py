"""The patterns of .dockerignore and of COPY's wildcards."""

import fnmatch
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcr.dockerfile.ignore import Ignore, load_ignore
from vcr.errors import UsageError
from vcr.formats.match import compile_pattern, has_wildcard


@pytest.mark.parametrize(
    ("patterns", "path", "ignored"),
    [
        ("*.py", "a.py", True),
        ("*.py", "d/a.py", False),
        ("**/*.py", "d/e/a.py", True),
        ("**/*.py", "a.py", True),
        ("d", "d/e/a.py", True),
        ("/d/", "d/x", True),
        ("d/**", "d/x/y", True),
        ("d/**", "d", False),
        ("*", "anything/below", True),
        ("*\n!keep", "keep", False),
        ("*\n!keep", "other", True),
        ("d\n!d/keep\nd/keep/not", "d/keep/yes", False),
        ("d\n!d/keep\nd/keep/not", "d/keep/not", True),
        ("# a comment\n\n  x  ", "x", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[a-c]x", "bx", True),
        ("[^a-c]x", "bx", False),
        ("\\*", "*", True),
        ("\\*", "x", False),
        ("./x/../y", "y", True),
    ],
)
def test_what_is_ignored(patterns: str, path: str, ignored: bool) -> None:
    assert Ignore.parse(patterns).ignores(path) is ignored


def test_a_bad_pattern_has_its_line() -> None:
    with pytest.raises(UsageError, match=r"\.dockerignore:2: .*malformed"):
        Ignore.parse("a\n[x\n")


def test_taking_back_is_known() -> None:
    assert Ignore.parse("a\n!a/b").takes_back
    assert not Ignore.parse("a").takes_back


@pytest.mark.parametrize("pattern", ["[", "[]", "[a", "[a-", "[z-a]", "a\\", "[-]"])
def test_malformed_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        compile_pattern(pattern)


SIMPLE = st.text("ab*?", max_size=6)
NAMES = st.text("ab", max_size=6)


@given(SIMPLE, NAMES)
def test_stars_and_question_marks_match_as_fnmatch_does(pattern: str, name: str) -> None:
    ours = compile_pattern(pattern).match(name)
    assert ours == fnmatch.fnmatchcase(name, pattern)


def slow_match(pattern: list[str], path: list[str]) -> bool:
    """Match component lists, `**` being any number of components, by trying everything."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(slow_match(pattern[1:], path[n:]) for n in range(len(path) + 1))
    if not path or not fnmatch.fnmatchcase(path[0], pattern[0]):
        return False
    return slow_match(pattern[1:], path[1:])


PARTS = st.lists(st.sampled_from(["a", "b", "a*", "?", "**"]), min_size=1, max_size=4)
PATHS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4)


@given(PARTS, PATHS)
def test_double_stars_match_as_the_slow_way_does(parts: list[str], path: list[str]) -> None:
    # The slow matcher knows no prefix rule, so compare one whole path at a time.
    text = "/".join(parts)
    if "**/**" in text:
        return
    ours = compile_pattern(text, double_star=True).match("/".join(path))
    assert ours == slow_match(parts, path)


@given(st.text("ab[]^-\\*?!/", max_size=10))
def test_any_pattern_compiles_or_is_refused(pattern: str) -> None:
    for double_star in (False, True):
        try:
            compile_pattern(pattern, double_star=double_star)
        except ValueError:
            assert has_wildcard(pattern)


def translated(pattern: str) -> re.Pattern[str]:
    """Translate PATTERN, without a class or a backslash, to an expression, which may take long."""
    out, at = "", 0
    if re.fullmatch(r"\*\*[^/*?][^*?]*", pattern):  # a suffix, whatever is before it
        return re.compile(f".*{re.escape(pattern[2:])}", re.DOTALL)
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("/", at + 2) else 2
            out += "(?:.*/)?" if at < len(pattern) else ".*"
            continue
        out += {"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at]))
        at += 1
    return re.compile(out, re.DOTALL)


STARS = st.lists(st.sampled_from(["a", "b", "/", "*", "**", "**/", "?", "."]), max_size=9)


@settings(max_examples=1000)
@given(STARS.map("".join), st.text("ab/.\n", max_size=9))
def test_many_stars_match_as_the_expression_does(pattern: str, path: str) -> None:
    ours = compile_pattern(pattern, double_star=True).match(path)
    assert ours == bool(translated(pattern).fullmatch(path))


CLASSES = st.lists(
    st.sampled_from(["*a", "**/", "[a-b]", "[^b]", "\\*", "?"]), min_size=2, max_size=7
)


@given(CLASSES, st.text("ab*/", max_size=9))
def test_classes_match_the_same_beside_one_star_and_several(parts: list[str], path: str) -> None:
    """Two stars that match nothing at the end of it make an automaton of any pattern."""
    pattern = "".join(parts)
    if not path.startswith("/") and "//" not in path:
        with_more = compile_pattern(f"{pattern}/z*x*y", double_star=True).match(f"{path}/zxy")
        assert with_more == compile_pattern(f"{pattern}/z", double_star=True).match(f"{path}/z")


@pytest.mark.parametrize(
    "pattern", ["**/a/" * 400, "*a" * 2000, "a**/" * 900 + "b", "**/*" * 900, "[a]*" * 900]
)
def test_a_pattern_of_many_stars_takes_no_time(pattern: str) -> None:
    begin = time.monotonic()
    ignore = Ignore.parse(pattern)
    for path in ("a/" * 40 + "x", "a" * 255, "/".join(["aaaa" * 60] * 16)):
        ignore.ignores(path)
    assert time.monotonic() - begin < 2


def test_patterns_are_bounded() -> None:
    with pytest.raises(UsageError, match="more than 4096 characters"):
        Ignore.parse("a" * 5000)
    with pytest.raises(UsageError, match="more than 2000 patterns"):
        Ignore.parse("a\n" * 3000)


def test_what_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"cannot read \.dockerignore"):
        load_ignore(tmp_path / ".dockerignore")
