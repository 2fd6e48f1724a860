"""verity.json of a stranger: whatever it holds, it is refused or the drive's."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vcr.engines.sealed import check_drive, read_parameters
from vcr.errors import MismatchError
from vcr.formats.hashes.verity import Verity, _superblock, _tree, parameters
from vcr.sandbox.seal import SCHEMA

HASH = "sha256:" + "5a" * 32


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A drive of 300 blocks, with its tree; verity.json beside it."""
    path = tmp_path / "drive"
    path.write_bytes(os.urandom(300 * 4096))
    made = parameters(path, HASH)
    _, levels = _tree(path, 300, bytes.fromhex(made.salt))
    with path.open("ab") as file:
        file.write(_superblock(made).ljust(4096, b"\0") + b"".join(reversed(levels)))
    told = {**made.as_json(), "schema": SCHEMA, "machine_hash": HASH}
    path.with_name("verity.json").write_text(json.dumps(told))
    return path


def told(drive: Path) -> dict[str, Any]:
    return dict(json.loads(drive.with_name("verity.json").read_text()))


def use(drive: Path, content: str | bytes) -> None:
    path = drive.with_name("verity.json")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    check_drive(drive, read_parameters(path))


def test_the_drive_is_its_own(drive: Path) -> None:
    use(drive, json.dumps(told(drive)))


WRONG: dict[str, list[Any]] = {
    "salt": ["5a", "", "5A" * 32, "5a " * 32, "zz" * 32, 5, None, ["5a" * 32], "5a" * 64],
    "root_hash": ["", "00", 0, None, "0" * 64, "G" * 64],
    "data_blocks": ["300", 300.0, -300, 0, True, 299, 301, 1 << 70, 10**400, None, math.inf, []],
    "hash_offset": ["0", 0, -1, 1.5, 300 * 4096 + 1, 1 << 63, None, {}],
    "uuid": ["", "x", 5, None],
    "algorithm": ["sha1", None, 5],
    "data_block_size": [512, "4096", 4096.5, 0],
    "hash_block_size": [512, None],
    "schema": [0, None, "1"],
    "machine_hash": ["sha256:" + "00" * 32, None, 5],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, row in WRONG.items() for v in row])
def test_a_wrong_value_is_a_mismatch(drive: Path, key: str, value: Any) -> None:
    changed = {**told(drive), key: value}
    if key == "salt":  # so that it fits
        changed["machine_hash"] = f"sha256:{value}"
    with pytest.raises(MismatchError):
        use(drive, json.dumps(changed))


@pytest.mark.parametrize("key", [*WRONG])
def test_what_is_not_there_is_a_mismatch(drive: Path, key: str) -> None:
    with pytest.raises(MismatchError):
        use(drive, json.dumps({k: v for k, v in told(drive).items() if k != key}))


@pytest.mark.parametrize(
    "content",
    ["", "[" * 200_000, '{"a":' * 100_000, "null", "[]", "5", '"x"', b"\xff", '{"schema": 1e999}',
     "[[1, 2]]", '{"salt": "\\ud800"}'],
    ids=lambda content: str(content)[:9],
)  # fmt: skip
def test_what_is_no_such_file_is_a_mismatch(drive: Path, content: str | bytes) -> None:
    with pytest.raises(MismatchError):
        use(drive, content)


@pytest.mark.parametrize("kind", ["fifo", "directory", "endless"])
def test_what_is_no_file_is_not_waited_for(drive: Path, kind: str) -> None:
    path = drive.with_name("verity.json")
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match=r"regular|directory"):
        read_parameters(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*WRONG]), VALUES, min_size=1))
def test_no_value_ends_vcr(drive: Path, changes: dict[str, Any]) -> None:
    kept = drive.with_name("kept")
    kept.write_bytes(drive.with_name("verity.json").read_bytes()) if not kept.exists() else None
    changed = {**json.loads(kept.read_bytes()), **changes}
    try:
        use(drive, json.dumps(changed))
    except MismatchError:
        return
    assert Verity.of(changed) == Verity.of(json.loads(kept.read_bytes()))
