"""What a build machine says is a stranger's: the command of a RUN is root in it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from vcr.formats.failure import Failure
from vcr.sandbox import build_machine
from vcr.sandbox.run import check

WELL: dict[str, Any] = {
    "exit": 0, "signal": 0, "error": "", "oom": False, "full": False, "refused": None,
}  # fmt: skip


def test_a_result_is_that_of_guest_step(tmp_path: Path) -> None:
    (tmp_path / "r").write_text(json.dumps(WELL))
    check(build_machine.read_result(tmp_path / "r"), "RUN x")


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"[" * 100_000, b"\xff", json.dumps({**WELL, "exit": "0"}).encode(),
     json.dumps({**WELL, "exit": True}).encode(), json.dumps({**WELL, "refused": [1]}).encode(),
     json.dumps({**WELL, "refused": "x"}).encode(), json.dumps({**WELL, "error": None}).encode(),
     json.dumps({**WELL, "more": "x" * (1 << 20)}).encode(), b'{"exit": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_a_result_that_the_command_forged_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "r").write_bytes(data)
    with pytest.raises(Failure, match="no result"):
        build_machine.read_result(tmp_path / "r")


def test_a_layer_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command writes to the port of the layer, or leaves a file of zeros that costs nothing."""
    monkeypatch.setattr(build_machine, "MAX_FILES", 1 << 20)
    code = (
        "import sys, time\n"
        f"open({str(tmp_path / build_machine.OUTPUT)!r}, 'w')\n"
        f"file = open({str(tmp_path / build_machine.LAYER)!r}, 'wb')\n"
        "while True: file.write(bytes(1 << 16)); time.sleep(0.001)"
    )
    with pytest.raises(Failure, match="changes more than"):
        build_machine.run([sys.executable, "-c", code], tmp_path, lambda _: None)
