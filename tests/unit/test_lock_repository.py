"""A repository in vcr.lock: what somebody else wrote there leads nowhere, and is not believed."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from vcr.dockerfile.git_address import parse_git_address
from vcr.dockerfile.text import Position
from vcr.lock import git as module
from vcr.lock.added import AddLocker
from vcr.lock.known import Known
from vcr.model.lockfile import LockedRepository

ADDRESS = parse_git_address("https://h.test/r.git#main:sub")
COMMIT, NAR = "a" * 40, f"sha256-{'A' * 43}="


def locked(**fields: str) -> LockedRepository:
    given = {"remote": ADDRESS.remote, "commit": COMMIT, "nar_sha256": NAR, "subdir": "sub"}
    return LockedRepository.model_validate({**given, **fields})


@pytest.mark.parametrize(
    "subdir", ["..", "../../home", "a/../../b", "/etc", "a//b", ".", "a/", "a\0b", "\x1b[31m"]
)
def test_no_lock_leads_out_of_a_repository(subdir: str) -> None:
    with pytest.raises(ValidationError, match="does not name a directory"):
        locked(subdir=subdir)


@pytest.mark.parametrize("subdir", ["", "a", "a/b", "...", "a b"])
def test_directories_in_a_repository_are_locked(subdir: str) -> None:
    assert locked(subdir=subdir).subdir == subdir


@pytest.mark.parametrize(
    "other",
    [{"remote": "https://other.test/r.git"}, {"subdir": "other"}, {"commit": "b" * 40}],
)
def test_what_is_locked_of_something_else_is_locked_again(
    tmp_path: Path, other: dict[str, str]
) -> None:
    class Store:
        def lock(self, address: object) -> LockedRepository:
            assert address == asked
            return locked()

        def audit(self, _: object) -> list[str]:
            return []  # it is what the lock says, of another repository

    asked = parse_git_address(f"https://h.test/r.git?checksum={'a' * 40}#main:sub")
    adder = AddLocker(Known(tmp_path), str, str, Store)  # type: ignore[arg-type]
    found = adder.repository(asked, Position("Dockerfile", 2, 1), locked(**other))
    assert found == locked()


@pytest.mark.parametrize(
    ("lead", "ref"),
    [
        ("ref: refs/heads/main", "refs/heads/main"),
        ("ref: refs/heads/\x1b[31m", ""),
        ("ref: refs/heads/a b", ""),
        ("ref: /etc", ""),
    ],
)
def test_a_server_says_any_name_of_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lead: str, ref: str
) -> None:
    class Remote:
        name = url = ADDRESS.remote

        def run(self, *_: object) -> str:
            return f"{lead}\tHEAD\n{COMMIT}\tHEAD\n"

    found = module._resolved(Remote(), parse_git_address("https://h.test/r.git"))  # type: ignore[arg-type]
    assert found == (ref, COMMIT)
    assert locked(ref=found[0]).ref == ref
