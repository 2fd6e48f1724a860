"""What somebody else names is read only if it is a regular file, and never without a bound."""

import io
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from vcr import foreign
from vcr.model.url import check_url


def test_a_regular_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"four")
    assert foreign.read_bytes(tmp_path / "file", 4) == b"four"
    with pytest.raises(OSError, match="more than 3 bytes"):
        foreign.read_bytes(tmp_path / "file", 3)


def test_what_is_not_a_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(OSError, match="not a regular file"):
            foreign.read_bytes(path, 1)
    with pytest.raises(OSError, match="directory"):
        foreign.read_bytes(tmp_path, 1)
    with pytest.raises(OSError, match="not a file name"):
        foreign.read_bytes(tmp_path / "a\0b", 1)


def test_json_that_is_nested_deeply_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        foreign.load_json(b"[" * 200_000)


def test_a_line_has_a_bound() -> None:
    assert foreign.read_line(io.BytesIO(b"abc\nd"), 4) == b"abc\n"
    with pytest.raises(ValueError, match="more than 3 bytes"):
        foreign.read_line(io.BytesIO(b"abc\nd"), 3)


@pytest.mark.parametrize(
    "text",
    [
        "http://h/x|npm:DIR:z", "http://h/a b", "http://h/\n", "http://h/\x00", "ftp://h/", "httPs://h/",
        "file:///x",
        "http:///x", "http://h:x/", "http://h/%zz", "http://h/é", "http://h/`x`", 'http://h/"', "http://h/{a}",
        "http://h/" + "a" * 8000, "",
    ],
)  # fmt: skip
def test_an_address_has_the_characters_of_the_standard_only(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|port|Port"):
        check_url(text)


def test_an_address_is_taken_as_it_is() -> None:
    for text in ("https://h:80/a%20b?c=d&e=[1]#f", "http://[::1]/", "https://u@h/a,b;c'(d)!*$+~"):
        assert check_url(text) == text


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 100_000, "a = " + "{a = " * 100_000, "a" + ".a" * 500_000 + " = 1",
     "[" + '"a" . ' * 30_000 + "a]", "'a'." * 40 + "a = 1", "threshold = " + "9" * 5000, "[["],
    ids=range(7),
)  # fmt: skip
def test_toml_that_takes_too_long_is_none(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(ValueError, match=r".+"):
        foreign.load_toml(text)
    assert time.process_time() - begin < 2


def test_toml_with_keys_of_some_parts_is_read() -> None:
    text = '[a.b."c.d"]\ne.f = "1.2.3.4.5.6.7.8.9"'
    assert foreign.load_toml(text)["a"]["b"]["c.d"]["e"]["f"] == "1.2.3.4.5.6.7.8.9"


def test_a_small_file_takes_little_memory_however_large_it_might_be(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    tracemalloc.start()
    assert foreign.read_bytes(tmp_path / "f", 1 << 30) == b"x"
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * foreign.CHUNK
