"""Everything that once was a finding of `bin/fuzz`, and that the harness finds what is planted."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("cbor2", reason="needs cbor2")
pytest.importorskip("cryptography", reason="needs cryptography")

from fuzz import corpus, golang
from fuzz.engine import fuzz, replay
from fuzz.target import Read, Target
from fuzz.targets import TARGETS
from vcr.errors import ExitCode, VcrError
from vcr.formats.failure import Failure

# pytest-xdist has threads; the child uses none of what they hold.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_was_found_is_found_again(name: str) -> None:
    target = TARGETS[name]
    inputs = [*target.seeds(), *(data for _, data in corpus.kept(name))]
    assert inputs
    assert not list(replay(target, inputs))


def test_every_directory_of_the_corpus_is_of_a_target() -> None:
    assert {path.name for path in corpus.CORPUS.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_one_valid_input_at_least_is_taken(name: str, tmp_path: Path) -> None:
    """A target whose seeds are all refused tries only how a reader says no."""

    no: tuple[type[Exception], ...] = (VcrError, Failure, *TARGETS[name].may_raise)

    def read(data: bytes) -> bool:
        try:
            TARGETS[name].read(data, tmp_path)
        except no:
            return False
        return True

    assert any(read(data) for data in TARGETS[name].seeds())


def planted(read: Callable[[bytes], object]) -> Target:
    def at_last(data: bytes, _directory: Path) -> None:
        if data.startswith(b"ab"):  # three changes away from the seed
            read(data)

    return Target("planted", at_last, lambda: [b"xyz"], words=(b"ab",))


def crash(_: bytes) -> None:
    raise KeyError("planted")


def bug(_: bytes) -> None:
    raise VcrError("planted", code=ExitCode.BUG)


def hang(_: bytes) -> None:
    while True:
        pass


def wait(_: bytes) -> None:
    ours, _theirs = socket.socketpair()
    ours.recv(1)


def spend(_: bytes) -> None:
    bytearray(1 << 30)


def spend_in_secret(_: bytes) -> None:
    try:
        bytearray(1 << 30)
    except Exception as error:
        raise VcrError("it is not what it should be") from error


def recurse(_: bytes) -> None:
    recurse(_)


def die(_: bytes) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (crash, "crash"),
        (bug, "crash"),
        (recurse, "crash"),
        (die, "crash"),
        (hang, "hang"),
        (wait, "hang"),
        (spend, "memory"),
        (spend_in_secret, "memory"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_planted_fault_is_found(
    read: Callable[[bytes], object], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz.worker.WAIT_SECONDS", 2.0)
    assert [finding.kind for finding in replay(planted(read), [b"xyz", b"ab"])] == [kind]


def test_a_fault_behind_other_inputs_is_come_upon(tmp_path: Path) -> None:
    said: list[str] = []
    result = fuzz(planted(crash), 3.0, tmp_path, said.append, keep=False)
    assert [kind for kind, _, _ in result.findings] == ["crash"]
    assert "KeyError" in said[0]
    assert result.executions > 10


def test_what_a_reader_may_say_no_with_is_no_finding() -> None:
    def refuse(_data: bytes, _directory: Path) -> None:
        raise ValueError

    def target(*may_raise: type[Exception]) -> Target:
        reader: Read = refuse
        return Target("x", reader, lambda: [b""], may_raise=may_raise)

    assert not list(replay(target(ValueError), [b""]))
    assert [finding.kind for finding in replay(target(KeyError), [b""])] == ["crash"]


def test_every_program_of_the_guest_is_fuzzed() -> None:
    programs = {path.parent.name for path in golang.GUEST.glob("*/go.mod")}
    assert {name.split(":")[1] for name in golang.names()} == programs
