import json
from dataclasses import dataclass, field

from vcr.tools.nix_log import Lines, NixLog, store_name

DRV = "/nix/store/dk8r2lz77sqxavzy3ijknzmf3b1qdsly-vcr-image.drv"


def event(**content: object) -> str:
    return "@nix " + json.dumps(content)


OTHER = DRV.replace("vcr-image", "vcr-machine-app")
STARTED = event(action="start", id=7, type=105, fields=[DRV, "", 1, 1], text="x")
PRINTED = event(action="result", id=7, type=101, fields=["\x1b[31mhello\x1b[0m"])


def read(*lines: str) -> tuple[NixLog, list[str]]:
    shown: list[str] = []
    log = NixLog(Lines(shown.append))
    for line in lines:
        log.feed(line)
    return log, shown


def test_a_note_of_the_base_is_for_the_user_and_not_one_that_a_command_prints() -> None:
    note = event(action="result", id=7, type=101, fields=["vcr-note: ghc: left out"])
    for name, notes in (("vcr-layer-base", ["ghc: left out"]), ("vcr-layer-run", [])):
        drv = DRV.replace("vcr-image", name)
        log, _ = read(event(action="start", id=7, type=105, fields=[drv, "", 1, 1], text="x"), note)
        assert log.notes == notes


@dataclass
class Told:
    """A follower that writes down what it is told."""

    events: list[tuple[object, ...]] = field(default_factory=list)

    def started(self, drv: str) -> None:
        self.events.append(("started", drv))

    def printed(self, drv: str, text: str) -> None:
        self.events.append(("printed", drv, text))

    def ended(self, drv: str, *, failed: bool) -> None:
        self.events.append(("ended", drv, failed))

    def copying(self, path: str, cache: str) -> None:
        self.events.append(("copying", path, cache))

    def copied(self, path: str) -> None:
        self.events.append(("copied", path))

    def said(self, text: str) -> None:
        self.events.append(("said", text))


def test_a_build_and_its_lines_are_attributed() -> None:
    log, shown = read(STARTED, PRINTED)
    assert shown == ["building vcr-image", "vcr-image> hello"]
    assert list(log.tails[DRV]) == ["hello"]
    assert log.built == [DRV]


def test_a_build_is_called_what_it_is_to_people() -> None:
    _, shown = read(event(action="start", id=7, type=105, fields=[OTHER]))
    assert shown == ["building the machine at step 0 (vcr-machine-app)"]


def test_a_follower_is_told_of_each_build_and_copy() -> None:
    follower = Told()
    log = NixLog(follower)
    second = event(action="start", id=8, type=105, fields=[OTHER, "", 1, 1])
    copy = event(action="start", id=9, type=108, fields=["/nix/store/a", "https://c", ""])
    for line in (STARTED, second, PRINTED, copy, *(event(action="stop", id=n) for n in (9, 7, 8))):
        log.feed(line)
    assert follower.events == [
        ("started", DRV), ("started", OTHER), ("printed", DRV, "hello"),
        ("copying", "/nix/store/a", "https://c"), ("copied", "/nix/store/a"),
        ("ended", DRV, False), ("ended", OTHER, False),
    ]  # fmt: skip


def test_what_is_stopped_because_another_build_fails_has_not_ended() -> None:
    """In the order of a Nix that fails: the message, then the ends of all that ran."""
    follower = Told()
    log = NixLog(follower)
    said = f"\x1b[31;1merror:\x1b[0m builder for '\x1b[35;1m{DRV}\x1b[0m' failed with exit code 3"
    for line in (
        STARTED,
        event(action="start", id=8, type=105, fields=[OTHER, "", 1, 1]),
        event(action="msg", level=0, msg=said),
        event(action="stop", id=8),
        event(action="stop", id=7),
    ):
        log.feed(line)
    assert [e for e in follower.events if e[0] == "ended"] == [("ended", DRV, True)]


def test_errors_are_kept_without_colours() -> None:
    log, _ = read(event(action="msg", level=0, msg="\x1b[31;1merror:\x1b[0m no"))
    assert log.errors == ["error: no"]


def test_unknown_and_broken_events_are_skipped() -> None:
    assert (
        read('@nix {"action":"start","id":1,"type":999}', "@nix not json", '@nix {"a":1}')[1] == []
    )


def test_other_lines_pass_through() -> None:
    assert read("plain words", "")[1] == ["plain words"]


def test_store_names_lose_directory_hash_and_suffix() -> None:
    assert store_name(DRV) == "vcr-image"
    assert store_name("/nix/store/dk8r2lz77sqxavzy3ijknzmf3b1qdsly-a.tar") == "a.tar"
    assert store_name("elsewhere") == "elsewhere"
