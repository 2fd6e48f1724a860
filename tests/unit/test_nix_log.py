import json

from vcr.tools.nix_log import NixLog, store_name

DRV = "/nix/store/dk8r2lz77sqxavzy3ijknzmf3b1qdsly-vcr-image.drv"


def event(**content: object) -> str:
    return "@nix " + json.dumps(content)


def test_a_build_and_its_lines_are_attributed() -> None:
    log = NixLog()
    started = log.feed(event(action="start", id=7, type=105, fields=[DRV, "", 1, 1], text="x"))
    shown = log.feed(event(action="result", id=7, type=101, fields=["\x1b[31mhello\x1b[0m"]))
    assert started == "building vcr-image"
    assert shown == "vcr-image> hello"
    assert list(log.tails[DRV]) == ["hello"]
    assert log.built == [DRV]


def test_a_build_is_called_what_it_is_to_people() -> None:
    drv = DRV.replace("vcr-image", "vcr-machine-app")
    started = NixLog().feed(event(action="start", id=7, type=105, fields=[drv]))
    assert started == "building the machine at step 0 (vcr-machine-app)"


def test_errors_are_kept_without_colours() -> None:
    log = NixLog()
    log.feed(event(action="msg", level=0, msg="\x1b[31;1merror:\x1b[0m no"))
    assert log.errors == ["error: no"]


def test_unknown_and_broken_events_are_skipped() -> None:
    log = NixLog()
    for line in ('@nix {"action":"start","id":1,"type":999}', "@nix not json", '@nix {"a":1}'):
        assert log.feed(line) == ""


def test_other_lines_pass_through() -> None:
    assert NixLog().feed("plain words") == "plain words"


def test_store_names_lose_directory_hash_and_suffix() -> None:
    assert store_name(DRV) == "vcr-image"
    assert store_name("/nix/store/dk8r2lz77sqxavzy3ijknzmf3b1qdsly-a.tar") == "a.tar"
    assert store_name("elsewhere") == "elsewhere"
