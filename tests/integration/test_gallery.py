"""Each app of the gallery builds from its lock, and answers as its first line says."""

import os
from pathlib import Path
from typing import Any

import pytest
from expectations import GALLERY, answer, apps, expectation_of

pytestmark = [pytest.mark.nix, pytest.mark.vm, pytest.mark.limit(1800)]

# Of each kind one: compiled, a server of files, a database, interpreted, without a port.
IN_PROD = {"c", "nginx", "redis", "sse", "sqlite", "worker"}
# Minutes of emulation for one build from the lock, of those that take more than five.
HEAVY = {"go": 12, "next": 13}


def marks(app: str) -> list[pytest.MarkDecorator]:
    """Return how the tests of APP are marked."""
    if app not in HEAVY:
        return []
    reason = f"needs VCR_TEST_GALLERY=1: {HEAVY[app]} minutes of emulation"
    return [
        pytest.mark.limit(7200),
        pytest.mark.skipif("VCR_TEST_GALLERY" not in os.environ, reason=reason),
    ]


CASES = [
    pytest.param(app, profile, marks=marks(app))
    for app in apps()
    for profile in ("dev", "vm", "prod")
    if profile != "prod" or app in IN_PROD
]


def test_every_directory_is_an_app_with_an_expectation() -> None:
    assert set(apps()) == {path.name for path in GALLERY.iterdir()} >= IN_PROD | HEAVY.keys()
    for app in apps():
        assert expectation_of(GALLERY / app).words
        assert (GALLERY / app / "vcr.lock").is_file()
    documented = (GALLERY.parents[1] / "docs" / "gallery.md").read_text()
    assert [app for app in apps() if f"| `{app}` |" not in documented] == []


@pytest.mark.parametrize(("app", "profile"), CASES)
def test_an_app_answers(vcr: Any, app: str, profile: str) -> None:
    directory: Path = GALLERY / app
    expected = expectation_of(directory)
    tried = vcr.attempt("--json", "up", "--profile", profile, directory)
    if tried.returncode == 7:
        pytest.skip(f"needs inputs that cannot be fetched here: {tried.stderr[-500:]}")
    assert tried.returncode == 0, tried.stderr
    forwards = vcr.json("ps")["machines"][0]["forwards"]
    port = forwards[0]["host"] if forwards else None

    def verb(name: str, *words: str) -> str:
        return str(vcr(name, directory, *words).stdout)

    assert expected.words in answer(expected, port, verb)
    vcr("down", "-t", "1", directory)
