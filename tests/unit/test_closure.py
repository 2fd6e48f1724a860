"""What of the Nix store is believed: by names and hashes, by who built it, and else not."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vcr import process
from vcr.errors import MismatchError
from vcr.settings import Settings
from vcr.tools.derivation import Derivation, Output, read_closure
from vcr.tools.nix import Nix
from vcr.tools.nix_store import Known, NixStore
from vcr.tools.store_path import STORE, name_of, source_path, text_path
from vcr.verify.closure import Closure
from vcr.verify.content import check_content
from vcr.verify.proven import Proven

AGENT, IMAGE, ROOTFS, GO, DEB = (
    STORE / f"{'0' * 32}-{name}"
    for name in ("vcr-agent", "vcr-image-a", "vcr-rootfs-a", "go", "deb")
)


def drv(output: Path) -> Path:
    return output.with_name(f"{output.name}.drv")


def derivation(output: Path, *inputs: Path, digest: str = "") -> Derivation:
    made = Output(output, "sha256" if digest else "", digest)
    return Derivation(tuple(map(drv, inputs)), (), {}, (made,))


def closure() -> Closure:
    return Closure(
        NixStore(Nix(Settings.load({}))),
        (drv(ROOTFS),),
        {
            drv(DEB): derivation(DEB, digest="0" * 64),
            drv(GO): derivation(GO, DEB),
            drv(AGENT): derivation(AGENT, GO),
            drv(IMAGE): derivation(IMAGE),
            drv(ROOTFS): derivation(ROOTFS, IMAGE, AGENT),
        },
    )


def test_what_is_of_the_project_is_told_from_what_made_it() -> None:
    assert closure().own == (drv(IMAGE), drv(ROOTFS))
    assert closure().tools == (drv(GO), drv(AGENT))


HERE = Known(built_here=True, since=10, nar_hash="sha256-x")
ELSEWHERE = replace(HERE, built_here=False)


def doubted(valid: dict[Path, Known]) -> list[Path]:
    return [each for each in closure().derivations if closure().is_doubted(each, valid)]


def test_foreign_is_what_no_hash_and_not_this_host_vouches_for() -> None:
    valid = {DEB: ELSEWHERE, GO: HERE, AGENT: ELSEWHERE, IMAGE: HERE, ROOTFS: HERE}
    found = [each for each in closure().derivations if closure().is_foreign(each, valid)]
    assert found == doubted(valid) == [drv(AGENT)]


def test_what_was_built_here_of_who_knows_what_is_in_doubt() -> None:
    valid = {DEB: ELSEWHERE, GO: HERE, AGENT: HERE, IMAGE: HERE, ROOTFS: HERE}
    assert doubted(valid) == []
    assert doubted({path: known for path, known in valid.items() if path != GO}) == [drv(AGENT)]
    later = replace(HERE, since=11)  # it was another one that the agent was built with
    assert doubted({**valid, GO: later}) == [drv(AGENT)]
    assert doubted({**valid, DEB: replace(ELSEWHERE, since=11)}) == [drv(GO)]
    assert doubted({GO: replace(HERE, since=0)}) == [drv(GO)]


def test_what_was_seen_to_be_the_same_is_noted(tmp_path: Path) -> None:
    proven = Proven(tmp_path / "proven")
    assert not proven.has(drv(AGENT), [HERE])
    proven.note({drv(AGENT): [HERE]})
    assert proven.has(drv(AGENT), [ELSEWHERE])
    assert not proven.has(drv(AGENT), [replace(HERE, nar_hash="sha256-y")])
    assert not proven.has(drv(GO), [HERE])


def test_what_lacks_is_had_from_below() -> None:
    valid = {AGENT, ROOTFS}
    assert closure().lacking([drv(AGENT)], valid) == (drv(DEB), drv(GO))
    assert closure().lacking([drv(ROOTFS)], valid) == (drv(IMAGE),)
    assert closure().lacking([drv(ROOTFS)], {*valid, IMAGE}) == ()


# --- what Nix says


def answering(monkeypatch: pytest.MonkeyPatch, told: Any, invalid: str = "") -> NixStore:
    def run(argv: list[object], **_: object) -> process.Result:
        words = tuple(str(word) for word in argv)
        out = invalid if "--check-validity" in words else json.dumps(told)
        return process.Result(words, 0, out.encode(), "")

    monkeypatch.setattr(process, "run", run)
    return NixStore(Nix(Settings.load({})))


@pytest.mark.parametrize(
    "told",
    [
        # as Nix 2.8 writes it, and as Nix 2.26 does
        [{"path": str(GO), "narHash": "sha256-x", "ultimate": True},
         {"path": str(DEB), "ca": "fixed:sha256:x"},
         {"path": str(AGENT), "ca": "fixed:r:sha256:x", "signatures": ["k:x"]}],
        {str(GO): {"ca": None, "narHash": "sha256-x", "signatures": [], "ultimate": True},
         str(DEB): {"ca": "fixed:sha256:x", "signatures": [], "ultimate": False},
         str(AGENT): {"ca": "fixed:r:sha256:x", "signatures": ["k:x"], "ultimate": False}},
        # a form of its future: who built it is then not known
        {GO.name: {"ultimate": True}},
    ],
)  # fmt: skip
def test_only_what_nix_says_was_built_here_was(monkeypatch: pytest.MonkeyPatch, told: Any) -> None:
    store = answering(monkeypatch, told, invalid=f"{IMAGE}\n")
    is_known = str(GO) in json.dumps(told)
    found = store.valid([GO, DEB, AGENT, IMAGE])
    assert {path: known.built_here for path, known in found.items()} == {
        GO: is_known, DEB: False, AGENT: False,
    }  # fmt: skip


# --- names that are made of content


def test_names_are_those_that_nix_makes() -> None:
    """Of Nix 2.8: `nix-store --add` of an empty file, and builtins.toFile "x" "text"."""
    nar = hashlib.sha256(
        b"".join(
            len(word).to_bytes(8, "little") + word + b"\0" * (-len(word) % 8)
            for word in (b"nix-archive-1", b"(", b"type", b"regular", b"contents", b"", b")")
        )
    ).hexdigest()
    assert str(source_path(nar, "empty")) == "/nix/store/lx5i78a4izwk2qj1nq8rdc07y8zrwy90-empty"
    text = text_path(b"text", [], "x")
    assert str(text) == "/nix/store/csm7gmy6pjp192zbsqkjaxis9jhrnyz6-x"
    assert name_of(text) == "x"


def test_a_derivation_with_another_content_is_refused(tmp_path: Path) -> None:
    text = 'Derive([("out","/nix/store/x-y","","")],[],[],"x","b",[],[("out","/nix/store/x-y")])'
    path = tmp_path / f"{'0' * 32}-y.drv"
    path.write_text(text)
    found = Closure(closure().store, (path,), read_closure([path]))
    with pytest.raises(MismatchError, match="does not have the right content") as caught:
        check_content(found, [])
    assert "does not match its name" in caught.value.why


def test_what_nothing_of_the_build_makes_is_refused() -> None:
    found = Closure(closure().store, (), {})
    with pytest.raises(MismatchError) as caught:
        check_content(found, [GO])
    assert caught.value.details == (("wrong", str(GO)),)
