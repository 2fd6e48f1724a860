"""Profiles: their file, their table, their picture, and what they are read from."""

import json
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest

from vcr.errors import UsageError, VcrError
from vcr.formats.failure import Failure
from vcr.perf import boot, guest, profile
from vcr.perf.profile import Profile, Row
from vcr.perf.symbols import KernelSymbols
from vcr.perf.target import Target
from vcr.report.flame_svg import draw
from vcr.sandbox.sampled import name_offset

SYSTEM_MAP = (
    "ffffffff80000000 T _start\n"
    "ffffffff80000100 T start_kernel\n"
    "ffffffff80000200 t idle\n"
    "ffffffff80001000 B _end\n"
)
SVG = "{http://www.w3.org/2000/svg}"


def a_profile(stacks: dict[str, int]) -> Profile:
    return Profile("app", "vm", "time", 10_101_010, 2.0, 0, stacks)


def test_a_profile_comes_back_from_its_file(tmp_path: Path) -> None:
    made = a_profile({"server;server`main;kernel`read": 3, "server": 1})
    profile.write(made, tmp_path / "p.json")
    assert profile.read(tmp_path / "p.json") == made
    data = json.loads((tmp_path / "p.json").read_text())
    assert (data["schema"], data["kind"], made.samples) == (1, "vcr-profile", 4)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema": 2}, "schema"),
        ({"stacks": {"a": 0}}, "stacks"),
        ({"stacks": {"a": "1"}}, "stacks"),
        ({"clock": "moon"}, "clock"),
        ({"more": 1}, "more"),
        ({"kind": "build"}, "kind"),
    ],
)
def test_another_file_is_refused_by_what_is_wrong(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    path = tmp_path / "p.json"
    profile.write(a_profile({"a": 1}), path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError) as refused:
        profile.read(path)
    assert why in refused.value.why


@pytest.mark.parametrize("text", ["", "[]", "{}", "\xff", '{"schema": []}'])
def test_what_is_no_profile_is_a_usage_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(UsageError):
        profile.read(tmp_path / "p.json")
    with pytest.raises(UsageError):
        profile.read(tmp_path / "none.json")


def test_a_function_that_calls_itself_counts_once_in_the_whole() -> None:
    rows = profile.rows(a_profile({"p;x`f;x`f;x`g": 2, "p;x`f": 1, "q": 4}))
    assert rows == [
        Row("q", "", "", 4, 4),
        Row("p", "x", "g", 2, 2),
        Row("p", "x", "f", 1, 3),
    ]
    assert sum(row.own for row in rows) == 7


def test_addresses_of_the_kernel_get_names(tmp_path: Path) -> None:
    (tmp_path / "System.map").write_text(SYSTEM_MAP)
    kernel = KernelSymbols.read(tmp_path / "System.map")
    assert kernel.resolve("kernel`0xffffffff80000180") == "kernel`start_kernel"
    assert kernel.resolve("kernel`0xffffffff80001000") == "kernel`[unknown]"
    assert kernel.resolve("kernel`0x10") == "kernel`[unknown]"
    assert kernel.resolve("libc.so.6`0x10") == "libc.so.6`0x10"
    assert KernelSymbols.read(tmp_path / "none").resolve("kernel`0x10") == "kernel`[unknown]"


def test_reports_of_the_sampler_add_up() -> None:
    target = Target("app", "vm", "riscv64", None, None)  # type: ignore[arg-type]  # nobody is asked
    reports = [
        guest.Report(1.0, 2, Counter({"a": 1, "b": 2})),
        guest.Report(0.5, 0, Counter({"a": 3})),
    ]
    options = guest.Options(100, 0, 1, only_app=True)
    total = guest.total(reports, target, options)
    assert (total.stacks, total.duration, total.lost) == ({"a": 4, "b": 2}, 1.5, 2)
    assert total.every == 10_000_000


def samples(tmp_path: Path, *lines: str) -> Path:
    (tmp_path / "System.map").write_text(SYSTEM_MAP)
    (tmp_path / "samples").write_text("".join(f"{line}\n" for line in lines))
    return tmp_path


def test_samples_of_a_boot_are_read(tmp_path: Path) -> None:
    init = b"init".hex()
    output = samples(
        tmp_path,
        "m  80001234",
        # Before it has page tables the kernel is where QEMU put it.
        f"s {b'swapper'.hex()} 80200110",
        f"s {init} ffffffff80000210 ffffffff80000104 10",
        f"u {init} 2aaaaaaaaa",
        f"u {init} 2aaaaaaaac",
        "end 523456",
    )
    found = boot.read_samples(output, "app", "prod")
    assert found.stacks == {
        "firmware;firmware`[unknown]": 1,
        "swapper;kernel`start_kernel": 1,
        "init;kernel`start_kernel;kernel`idle": 1,
        "init;program`[unknown]": 2,
    }
    assert (found.clock, found.every, found.duration) == ("instructions", 100_000, 523_456)


def test_samples_without_an_end_are_not_whole(tmp_path: Path) -> None:
    with pytest.raises(VcrError, match="is not complete"):
        boot.read_samples(samples(tmp_path, "m  80001234"), "app", "prod")


def test_a_task_has_its_name_where_the_first_one_has(tmp_path: Path) -> None:
    symbols = tmp_path / "System.map"
    symbols.write_text("ffffffff80000000 T _start\nffffffff80000020 D init_task\n")
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"swapper\0" + bytes(0x18) + bytes(100) + b"swapper\0")
    assert name_offset(kernel, symbols) == 100
    kernel.write_bytes(bytes(200))
    with pytest.raises(Failure):
        name_offset(kernel, symbols)


def boxes_of(text: str) -> list[ET.Element]:
    return list(ET.fromstring(text).iter(f"{SVG}g"))  # noqa: S314 -- it is our own


def test_a_flame_graph_is_whole_and_the_same_each_time() -> None:
    made = a_profile({"p<&>;x`f<int>;kernel`read": 30, "p<&>;x`f<int>": 10, "q;[unknown]": 60})
    text = draw(made)
    assert text == draw(made)
    boxes = [
        (box.findtext(f"{SVG}title"), float(box.find(f"{SVG}rect").get("width")))  # type: ignore[union-attr,arg-type]
        for box in boxes_of(text)
    ]
    assert boxes == [
        ("all: 100 samples, 100.0 %", 1200),
        ("p<&>: 40 samples, 40.0 %", 480),
        ("f<int> (x): 40 samples, 40.0 %", 480),
        ("read (kernel): 30 samples, 30.0 %", 360),
        ("q: 60 samples, 60.0 %", 720),
        ("[unknown]: 60 samples, 60.0 %", 720),
    ]
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")  # it needs nothing else


def test_what_is_too_narrow_to_see_is_left_out() -> None:
    boxes = boxes_of(draw(a_profile({"a": 99_999, "b": 1})))
    assert [box.get("data-s") for box in boxes] == ["all", "a"]
    assert boxes_of(draw(a_profile({}))) == []


def test_a_flame_graph_of_hostile_names_is_xml() -> None:
    text = draw(a_profile({"p\x1b[2J\x00;x`f\u202e<i>": 30}))
    assert [box.get("data-s") for box in boxes_of(text)] == [
        "all", r"p\x1b[2J\x00", r"f\u202e<i>",
    ]  # fmt: skip
