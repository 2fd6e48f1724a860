"""The page about a build: complete, self-contained, and safe with any name."""

import io
import json
import tarfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from vcr.build.builder import BuiltStage
from vcr.model.digest import Digest
from vcr.model.ladder import Rung
from vcr.report.files import File, largest_files
from vcr.report.graph import Node
from vcr.report.page import Attested, Component, Milestone, Report, page

VOID = {"meta", "link"}
DIGEST = Digest("sha256:" + "ab" * 32)


class Reader(HTMLParser):
    """Checks that elements nest, and keeps text and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def report(name: str) -> Report:
    return Report(
        title=name,
        about="profile prod, riscv64",
        ladder=(Rung("image", DIGEST, 2048, Path("image")),),
        graph={"image": Node("image", f"copy {name}", is_built=True, needs=())},
        stages=(
            BuiltStage(
                "image", Path("image"), cached=False, reason=f"{name} changed", seconds=1.25
            ),
        ),
        sizes={"image": (2048, 4096)},
        machine=(("instructions", "600709526"),),
        boot=(Milestone("the kernel's clock starts", 20_000_000), Milestone("healthy", 80_000_000)),
        components={
            "in the image": (Component("busybox-static", "1:1.37.0-6+b9", 900, str(DIGEST), name),),
            "only while building": (Component("gcc", "14", 0, str(DIGEST), "pkg:deb/gcc"),),
        },
        attested=(
            Attested(f"{name}.json", holds=True, words="provenance, signed by 0123"),
            Attested("other.json", holds=False, words="at the signature: no trusted key"),
        ),
        files=(File(f"/{name}", 7, "0.1.copy"),),
    )


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_tells_all_and_needs_nothing_else() -> None:
    found = read(page(report("static")))
    for words in (str(DIGEST), "1.2 s", "static changed", "600709526", "1:1.37.0-6+b9", "4.0 KiB"):
        assert words in found.text
    assert found.addresses == ["data:,"]
    assert not found.tags & {"script", "img", "iframe", "object"}


def test_names_are_text_whatever_they_are() -> None:
    name = "<script>alert('&')</script>"
    found = read(page(report(name)))
    assert "script" not in found.tags
    assert f"/{name}" in found.text


def test_names_neither_steer_nor_turn_nor_hide() -> None:
    html = page(report("a\x1b[2J\u202eb\u200b\x00\udcff"))
    assert not set("\x1b\u202e\u200b\x00\udcff") & set(html)
    assert r"/a\x1b[2J\u202eb\u200b\x00\xff" in read(html).text
    html.encode()


def test_the_timeline_is_one_of_instructions() -> None:
    html = page(report("static"))
    found = read(html)
    for words in ("20.0 M", "80.0 ms", "60.0 M"):
        assert words in found.text
    assert 'class="bar"><i style="margin-left:0.00%;width:25.00%">' in html
    assert 'class="bar"><i style="margin-left:25.00%;width:75.00%">' in html


def test_what_is_not_known_is_said() -> None:
    bare = replace(report("static"), boot=(), attested=(), machine=())
    text = " ".join(read(page(bare)).text)
    assert "one of the profile prod, on the engine qemu" in text
    assert "No statement was given" in text


def test_attestations_that_do_not_hold_are_told_with_the_reason() -> None:
    html = page(report("static"))
    assert '<td class="good"><b>verified</b></td>' in html
    assert '<td class="bad"><b>not verified</b></td><td>at the signature: no trusted key' in html


def test_components_are_shown_by_use() -> None:
    found = read(page(report("static")))
    assert "in the image: 1 in total, 900 B" in found.text
    assert "only while building: 1 in total, 0 B" in found.text
    assert "pkg:deb/gcc" in found.text


def test_the_largest_files_are_found_in_the_layers(tmp_path: Path) -> None:
    for layer, files in {"a": {"one": 3, "two": 5}, "b": {"three": 4}}.items():
        with tarfile.open(tmp_path / layer, "w") as archive:
            archive.addfile(tarfile.TarInfo("directory"))
            for name, size in files.items():
                info = tarfile.TarInfo(name)
                info.size = size
                archive.addfile(info, io.BytesIO(bytes(size)))
    manifest = tmp_path / "manifest"
    layers = [{"digest": f"sha256:{name}"} for name in "ab"]
    manifest.write_text(json.dumps({"layers": layers}))
    found = largest_files(manifest, ("base", "0.1.copy"), 2)
    assert found == (File("/two", 5, "base"), File("/three", 4, "0.1.copy"))
