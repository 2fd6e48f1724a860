"""Which sources of ADD are git repositories, and what of them is taken: as BuildKit reads them."""

import pytest

from vcr.dockerfile.git_address import GitAddress, is_git, parse_git_address

R = "https://h/o/r.git"


@pytest.mark.parametrize(
    "text",
    [R, "http://h/r.git", f"{R}#main", f"{R}?ref=main#:sub", "https://h/r%2Egit", "git@h:o/r",
     "git@h:o/r.git#v1", "git://h/r", "ssh://git@h/r", "SSH://h/r", "who@h:/srv/r"],
)  # fmt: skip
def test_what_add_takes_for_a_repository(text: str) -> None:
    assert is_git(text)


@pytest.mark.parametrize(
    "text",
    ["https://h/r.git/", "https://h/r", "https://h/r#v1.git", "https://h/r?x=.git", "r.git",
     "./git@h:r", "ftp://h/r.git", "https://[/r.git", "h:o/r.git"],
)  # fmt: skip
def test_what_is_a_file(text: str) -> None:
    assert not is_git(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (R, GitAddress(R)),
        (f"{R}#v1", GitAddress(R, "v1")),
        (f"{R}#feature/a:docs/../b/", GitAddress(R, "feature/a", "b")),
        (f"{R}#:../../etc", GitAddress(R, "", "etc")),
        (f"{R}#a%23b", GitAddress(R, "a#b")),
        (f"{R}?tag=v1", GitAddress(R, "refs/tags/v1")),
        (f"{R}?branch=refs/heads/x&subdir=d", GitAddress(R, "refs/heads/x", "d")),
        (f"{R}?ref=v1#v1", GitAddress(R, "v1")),
        (f"{R}?checksum=AB12#v1", GitAddress(R, "v1", checksum="ab12")),
        (f"{R}?commit=ab12", GitAddress(R, checksum="ab12")),
        (f"{R}?keep-git-dir", GitAddress(R, keep_git_dir=True)),
        (f"{R}?keep-git-dir=F&submodules=0&mtime=commit", GitAddress(R, submodules=False)),
        (
            f"{R}?fetch-by-commit&checksum={'a' * 40}#v1",
            GitAddress(R, "v1", checksum="a" * 40, fetch_by_commit=True),
        ),
    ],
)
def test_what_an_address_says(text: str, found: GitAddress) -> None:
    assert parse_git_address(text) == found
    assert parse_git_address(found.text) == found, "one form of it says the same"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("git@h:o/r", "https:// and http:// only"),
        ("git://h/r", "https:// and http:// only"),
        ("https://me:secret@h/r.git", "a user or a password"),
        (f"{R}?x=1", "none of ref, tag"),
        (f"{R}?ref=", "without a value"),
        (f"{R}?ref=a&ref=a", "ref twice"),
        (f"{R}?ref=a#b", "two values for ref"),
        (f"{R}?tag=a#a", "two values for ref"),
        (f"{R}?tag=a&branch=a", "both tag and branch"),
        (f"{R}?subdir=a#:b", "two values for subdir"),
        (f"{R}?keep-git-dir=maybe", "true or false"),
        (f"{R}?mtime=never", "checkout or commit"),
        (f"{R}?checksum=sha256:00", "a commit hash"),
        (f"{R}?checksum=a&commit=a", "both checksum and commit"),
        (f"{R}?fetch-by-commit&checksum=aa", "all of a commit hash"),
        (f"{R}?checksum=bb#{'a' * 40}", "is not the commit of the checksum"),
        (f"{R}#a%20b", "no branch, tag or commit"),
        (f"{R}?fetch-by-commit&checksum={'a' * 40}#a%0arefs/heads/x", "no branch, tag or commit"),
        (f"{R}?ref=%1b[31m", "no branch, tag or commit"),
        (f"{R}#:a%00b", "does not name a directory of a repository"),
        (f"{R}?subdir=%1b[31m", "does not name a directory of a repository"),
    ],
)
def test_what_is_wrong_with_an_address(text: str, words: str) -> None:
    assert is_git(text)
    with pytest.raises(ValueError, match=words):
        parse_git_address(text)


def test_flags_of_add_say_the_same_as_the_query() -> None:
    assert parse_git_address(R, checksum="ab", keep_git_dir=True) == GitAddress(
        R, checksum="ab", keep_git_dir=True
    )
    assert parse_git_address(f"{R}?keep-git-dir", keep_git_dir=True).keep_git_dir
    with pytest.raises(ValueError, match="contradict"):
        parse_git_address(f"{R}?keep-git-dir", keep_git_dir=False)
    with pytest.raises(ValueError, match="two values for checksum"):
        parse_git_address(f"{R}?checksum=ab", checksum="cd")
