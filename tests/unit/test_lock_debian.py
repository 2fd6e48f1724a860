"""Versions, indexes and the resolver, on small made-up archives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vcr.errors import UsageError
from vcr.lock.debian.packages import Index, Relation, paragraphs
from vcr.lock.debian.resolve import resolve
from vcr.lock.debian.version import Version


@pytest.mark.parametrize(
    ("smaller", "greater"),
    [
        ("1.0", "1.1"),
        ("1.9", "1.10"),
        ("1.0~rc1", "1.0"),
        ("1.0~~", "1.0~"),
        ("1.0", "1.0-0.1"),
        ("9", "1:1"),
        ("1.0-1", "1.0-1+b1"),
        ("1.0-1+deb13u1", "1.0-1+deb13u2"),
        ("1.0a", "1.0+"),
        ("1.2-3", "1.2.1-1"),
        ("2.41-12+deb13u4", "2.41-12+deb13u5"),
        ("1-2-3", "1-2-4"),
    ],
)
def test_versions_are_ordered_as_dpkg_orders_them(smaller: str, greater: str) -> None:
    assert Version(smaller) < Version(greater)
    assert not Version(greater) < Version(smaller)
    assert Version(greater).satisfies(">>", Version(smaller))
    assert Version(smaller).satisfies("<=", Version(greater))


def test_equal_versions_may_be_written_differently() -> None:
    assert Version("0:1.0-0") == Version("1.0")
    assert Version("1.00") == Version("1.0")


VERSIONS = st.from_regex(r"([0-9]:)?[0-9][0-9a-c.+~]{0,5}(-[0-9a-c.+~]{1,3})?", fullmatch=True)


@given(st.lists(VERSIONS, min_size=3, max_size=3))
def test_the_order_is_total(texts: list[str]) -> None:
    a, b, c = sorted(map(Version, texts))
    assert a <= b <= c
    assert a <= c
    assert (a < b) + (a == b) + (a > b) == 1


def make_index(*packages: str) -> Index:
    """Each package is "name[=version]: field lines"."""
    text = []
    for package in packages:
        head, _, rest = package.partition(":")
        name, _, version = head.partition("=")
        fields = "".join(f"{line.strip()}\n" for line in rest.split(";") if line.strip())
        text.append(
            f"Package: {name}\nVersion: {version or '1'}\nArchitecture: all\n"
            f"Filename: pool/{name}.deb\nSHA256: {'0' * 64}\nSize: 1\n{fields}"
        )
    return Index.of_text("\n".join(text))


def names(index: Index, *roots: str, exclude: frozenset[str] = frozenset()) -> list[str]:
    return [package.name for package in resolve(index, roots, exclude=exclude)]


def test_dependencies_are_followed_and_sorted() -> None:
    index = make_index(
        "app: Depends: lib (>= 1), data", "lib: Pre-Depends: base", "data:", "base:", "other:"
    )
    assert names(index, "app") == ["app", "base", "data", "lib"]


def test_cycles_end() -> None:
    assert names(make_index("a: Depends: b", "b: Depends: a"), "a") == ["a", "b"]


def test_the_first_alternative_wins_unless_one_is_chosen_already() -> None:
    index = make_index("a: Depends: x | y", "b: Depends: y", "x:", "y:")
    assert names(index, "a") == ["a", "x"]
    assert names(index, "y", "a") == ["a", "y"]


def test_provides_satisfy_and_versions_count() -> None:
    index = make_index(
        "a: Depends: virtual, versioned (>= 2)",
        "p: Provides: virtual",
        "q: Provides: versioned",
        "r: Provides: versioned (= 2)",
    )
    assert names(index, "a") == ["a", "p", "r"]


def test_architecture_qualifiers_are_accepted() -> None:
    assert names(make_index("a: Depends: python3:any", "python3:"), "a") == ["a", "python3"]


def test_the_newest_of_one_name_is_taken() -> None:
    index = make_index("a=1:", "a=1.10:", "a=1.9:")
    newest = index.get("a")
    assert newest is not None
    assert str(newest.version) == "1.10"


def test_excluded_dependencies_are_dropped() -> None:
    index = make_index("a: Depends: b, c", "b:", "c:")
    assert names(index, "a", exclude=frozenset({"c"})) == ["a", "b"]


def test_an_unknown_package_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        resolve(make_index("python3:"), ["pyhton3"])
    assert caught.value.fix == "did you mean python3?"


def test_a_virtual_package_names_its_providers() -> None:
    with pytest.raises(UsageError) as caught:
        resolve(make_index("exim: Provides: mail"), ["mail"])
    assert "provided by exim" in caught.value.why


def test_an_unsatisfiable_dependency_shows_the_chain() -> None:
    index = make_index("a: Depends: b", "b: Depends: c (>= 2) | d", "c=1:")
    with pytest.raises(UsageError) as caught:
        resolve(index, ["a"])
    assert caught.value.what == "nothing satisfies c (>= 2) | d"
    assert caught.value.why == "needed by b, needed by a"


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_roots_does_not_change_a_plain_set(roots: list[str]) -> None:
    index = make_index("a: Depends: c", "b:", "c: Depends: d", "d:")
    assert names(index, *roots) == ["a", "b", "c", "d"]


def test_relations_and_paragraphs_are_read() -> None:
    assert Relation.parse("libc6 (>= 2.36)") == Relation("libc6", ">=", "2.36")
    assert list(paragraphs("A: 1\nB: x\n y\n\nA: 2\n")) == [{"A": "1", "B": "x\ny"}, {"A": "2"}]
    for bad in ("Foo Bar", "x (>> )"):
        with pytest.raises(ValueError, match="not a package relation"):
            Relation.parse(bad)
    with pytest.raises(ValueError, match="not a field"):
        list(paragraphs("nonsense\n"))
