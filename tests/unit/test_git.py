"""Checkouts: what their directory, and so a project without a name, is called."""

import pytest

from vcr.tools.git import directory_of


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/who/hello.git", "hello"),
        ("https://example.org/hello/", "hello"),
        ("git@example.org:who/hello.git", "hello"),
        ("example.org:hello", "hello"),
        ("/src/hello/.git", "hello"),
        ("../hello", "hello"),
        ("/", "source"),
        ("..", "source"),
        (".git", "source"),
    ],
)
def test_the_directory_is_called_as_a_clone_is(url: str, name: str) -> None:
    assert directory_of(url) == name
