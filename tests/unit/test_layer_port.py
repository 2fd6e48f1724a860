"""What a build machine says that a step changed: an archive, and files in its memory."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from vcr.formats.failure import Failure
from vcr.formats.tar import entries, write
from vcr.formats.tree import text_file
from vcr.sandbox.qemu import layer_port
from vcr.sandbox.qemu.layer_port import layer_nodes
from vcr.sandbox.qemu.memory import BEGIN, place_of

MEMORY = bytes(range(256)) * 64
RAM = BEGIN["riscv64"]
PAGE = 4096


def archive(*names: str, links: tuple[tuple[str, str], ...] = ()) -> bytes:
    """Return an archive of empty files NAMES and hard LINKS."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as out:
        for name in names:
            out.addfile(tarfile.TarInfo(name))
        for name, goal in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.LNKTYPE, goal
            out.addfile(info)
    return buffer.getvalue()


def sent(where: Path, data: bytes, table: Any) -> tuple[Path, Path, str]:
    """Write DATA and TABLE as guest/step does; return what layer_nodes takes."""
    told = table if isinstance(table, bytes) else json.dumps(table).encode()
    (where / "port").write_bytes(data + told + len(told).to_bytes(8))
    (where / "memory").write_bytes(MEMORY)
    return where / "port", where / "memory", "riscv64"


def test_a_large_file_is_read_where_it_is(tmp_path: Path) -> None:
    size = 3 * PAGE - 5
    pieces = [[0, PAGE, RAM + 2 * PAGE], [2 * PAGE, PAGE - 5, RAM]]
    table = [{"entry": 1, "size": size, "pieces": pieces}, {"entry": 2, "size": 9, "pieces": []}]
    data = archive("small", "large", "hole", links=(("same", "large"),))
    nodes = layer_nodes(*sent(tmp_path, data, table))
    expected = MEMORY[2 * PAGE : 3 * PAGE] + bytes(PAGE) + MEMORY[: PAGE - 5]
    assert nodes["large"].content.read() == expected
    assert nodes["same"] is nodes["large"]
    assert (nodes["small"].content.read(), nodes["hole"].content.read()) == (b"", bytes(9))
    # A layer of it is one of any such file.
    write(tmp_path / "layer.tar", [("large", nodes["large"])], 1)
    ((name, node),) = entries(tmp_path / "layer.tar")
    assert not isinstance(node, str)
    assert (name, node.content.read()) == ("large", expected)


def test_hard_links_of_a_layer_share_a_node(tmp_path: Path) -> None:
    node = text_file("x")
    write(tmp_path / "layer.tar", [("a", node), ("b", node)], 1)
    nodes = layer_nodes(*sent(tmp_path, (tmp_path / "layer.tar").read_bytes(), []))
    assert nodes["a"] is nodes["b"]


def test_a_hard_link_to_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="hard link"):
        layer_nodes(*sent(tmp_path, archive(links=(("a", "b"),)), []))


@pytest.mark.parametrize(
    "table",
    [
        b"", b"{}", b"[", b"\xff", b"[" * 100_000, b"[" + b"9" * 5000 + b"]",
        *(
            [{"entry": 0, "size": PAGE, "pieces": pieces}]
            for pieces in (
                [[0, PAGE]], [[0, PAGE, RAM, 1]], [[0, PAGE, "x"]], [[0, PAGE, -1]], [[0, 0, RAM]],
                [[0, PAGE, RAM - 1]], [[0, PAGE, RAM + len(MEMORY) - 1]], [[1, PAGE, RAM]],
                [[-1, PAGE, RAM]], [[0, 2, RAM], [1, 2, RAM]], [[0, -1, RAM]], [[0, PAGE, 1 << 70]],
            )
        ),
        [{"entry": 0, "size": -1, "pieces": []}], [{"entry": 0, "size": 1}],
    ],
)  # fmt: skip
def test_a_table_that_the_command_forged_is_refused(tmp_path: Path, table: Any) -> None:
    with pytest.raises(Failure, match=r"table|memory|job"):
        layer_nodes(*sent(tmp_path, archive("a"), table))


@pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 8, bytes(7) + b"\1"])
def test_a_port_that_ends_too_early_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "port").write_bytes(data)
    (tmp_path / "memory").touch()
    with pytest.raises(Failure, match=r"cut off|valid"):
        layer_nodes(tmp_path / "port", tmp_path / "memory", "arm64")


def test_holes_count_for_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_port, "MAX_FILES", 1 << 30)
    table = [{"entry": n, "size": (1 << 29) + 1, "pieces": []} for n in range(2)]
    with pytest.raises(Failure, match="changes more than 1 GiB"):
        layer_nodes(*sent(tmp_path, archive("a", "b"), table))


def test_amd64_has_its_memory_in_two_parts() -> None:
    gib = 1 << 30
    assert place_of(3 * gib - PAGE, PAGE, "amd64", 5 * gib) == 3 * gib - PAGE
    assert place_of(4 * gib, PAGE, "amd64", 5 * gib) == 3 * gib
    assert place_of(6 * gib - PAGE, PAGE, "amd64", 5 * gib) == 5 * gib - PAGE
    for address in (3 * gib - 1, 3 * gib, 4 * gib - 1, 6 * gib):
        with pytest.raises(Failure):
            place_of(address, PAGE, "amd64", 5 * gib)
