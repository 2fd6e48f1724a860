"""Names and paths that hold the separator of a text they are put into stay one field."""

import csv
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vcr.engines.container.bundle import Bind
from vcr.engines.container.docker import env_file
from vcr.errors import HostError, UsageError
from vcr.model.config import Config, HealthSection, ServiceSection
from vcr.model.file_name import MAX_LENGTH, check_store_name, last_part, store_name
from vcr.model.lockfile import (
    Lock,
    LockedBody,
    LockedDebian,
    LockedExchange,
    LockedFile,
    LockedImage,
)
from vcr.model.project import load_project
from vcr.model.sections.base import Base
from vcr.model.url import check_image, check_url, encoded
from vcr.model.volume import split_volume
from vcr.runtime.ssh import Access
from vcr.sandbox.build_machine import option
from vcr.sandbox.hardware import Prod, Sockets, restored
from vcr.settings import Settings
from vcr.tools.binary_cache import BinaryCache
from vcr.tools.nix import Nix

ODD = "a:b,c d'e\"f\\g%h"
ADDRESS = "https://example.org/x"


def values(text: str) -> list[str]:
    """Take an option of QEMU apart, as its get_opt_value of util/qemu-option.c does."""
    return [part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")]


def test_a_path_is_one_value_of_an_option_of_qemu() -> None:
    assert values(f"path={option(Path('/x,y=z,,'))},server=on") == ["path=/x,y=z,,", "server=on"]
    odd = Path("/") / f"{ODD},append=off"
    machine = Prod.of("/qemu", "/data", 64, 0)
    argv = restored(machine, odd, odd, odd, Sockets(odd, odd, odd, odd), "user")
    holding = [values(word) for word in argv if ODD.partition(",")[0] in word]
    assert len(holding) == 14  # memory, console, log, agent, door, monitor, 8 of debug
    for fields in holding:
        whole = [field for field in fields if f"{odd}" in field]
        assert len(whole) == 1
        assert "append=off" not in fields


def test_a_bind_is_one_record_for_docker() -> None:
    (fields,) = csv.reader([Bind(Path(f"/{ODD}"), f"/in/{ODD}", read_only=True).to_option()])
    assert fields == ["type=bind", f"source=/{ODD}", f"target=/in/{ODD}", "readonly"]


def test_a_variable_of_two_lines_is_not_two_for_docker() -> None:
    assert env_file(("A=1", "B=x=y")) == "A=1\nB=x=y\n"
    with pytest.raises(UsageError, match="the variable A has more than one line"):
        env_file(("A=1\nLD_PRELOAD=/x",))


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs ssh")
def test_ssh_reads_the_paths_that_are_meant(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    state = tmp_path / ODD
    settings = Settings.load({"HOME": "/", "XDG_STATE_HOME": str(state)})
    access = Access(load_project(tmp_path / "app"), settings)
    (tmp_path / "config").write_text(access.config())
    argv = ["ssh", "-G", "-F", str(tmp_path / "config"), access.host]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    told = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    for name, path in (("identityfile", access.key), ("userknownhostsfile", access.known_hosts)):
        assert told[name].replace("%%", "%") == str(path)
    asked = f"printf %s {told['proxycommand'].replace('%%', '%')}"
    done = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == str(access.proxy)
    for wrong in ("a\nb", "${HOME}"):
        settings = Settings.load({"HOME": "/", "XDG_STATE_HOME": str(tmp_path / wrong)})
        with pytest.raises(HostError, match="ssh cannot be configured"):
            Access(load_project(tmp_path / "app"), settings).prepare()


@pytest.mark.parametrize("text", ["/a?x=1", "/a#b", "/a%20b", "/a\nb", "file:///a%20b"])
def test_a_directory_of_a_cache_is_no_parameter(text: str) -> None:
    nix = Nix(Settings.load({"HOME": "/"}))
    with pytest.raises(UsageError, match="cannot name a binary cache"):
        BinaryCache.at(text, nix)
    assert BinaryCache.at("/a,b:c d", nix).url == "file:///a,b:c d"
    assert BinaryCache.at("https://h/a%20b?x=1", nix).url == "https://h/a%20b?x=1"


def test_a_volume_of_a_directory_with_a_colon() -> None:
    assert split_volume("./a:b:/data") == ("./a:b", "/data", False)
    assert split_volume("/a:/b:/data:ro") == ("/a:/b", "/data", True)
    assert split_volume("data:/var") == ("data", "/var", False)
    for wrong in ("a:b", "/data", ":/x", "a:/x/../y", "a:/x:rx", "a:/x\0"):
        with pytest.raises(ValueError, match="is not a volume"):
            split_volume(wrong)


# --- addresses and names, where they enter


@pytest.mark.parametrize(
    "text",
    ["http://h/|x", "http://h/a b", "http://h/\n", "http://h/\x1b", "http://h/%zz", "file:///x",
     "ftp://h/x", "http://", "http:///x", "-o", "http://h:x/", 'http://h/"', "http://h/\\", "http://h/é",
     "http://h/{a,b}", "http://h/" + "x" * 8000],
)  # fmt: skip
def test_an_address_is_one_of_rfc_3986(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|port|Port"):
        check_url(text)


def test_what_a_step_asks_for_becomes_an_address() -> None:
    assert encoded("http://h/a|b c%20é?x=[1]%") == "http://h/a%7Cb%20c%20%C3%A9?x=[1]%25"
    assert check_url(encoded("http://h/\x01\n")) == "http://h/%01%0A"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "-x", ".x", "a\n", "a b", "x.drv", "a|b", "é", "x" * 208]
)
def test_a_file_name_is_one_of_the_store(name: str) -> None:
    with pytest.raises(ValueError, match="file name"):
        check_store_name(name)
    with pytest.raises(ValidationError):
        LockedFile(name=name, sha256="0" * 64, size=0, url=ADDRESS)
    with pytest.raises(ValidationError):
        LockedBody(name=name, size=0)
    made = store_name(name)
    assert not made or check_store_name(made) == made


def test_the_last_part_of_an_address_is_a_name_or_nothing() -> None:
    parts = {
        "https://h/a/b.tar?x=/y": "b.tar",
        "https://h/a/#/z": "a",
        "https://h": "",
        "https://h/?a/b": "",
        "https://h/a/..": "",
        "https://h/.": "",
    }
    assert {url: last_part(url) for url in parts} == parts
    assert len(store_name("x" * 300)) == MAX_LENGTH


WRONG_ENTRIES: list[tuple[Any, dict[str, Any]]] = [
    (LockedFile, {"name": "x", "sha256": "0" * 64, "size": 0, "url": "http://h/|npm:/x:z"}),
    (LockedFile, {"name": "x", "sha256": "0" * 63, "size": 0, "url": ADDRESS}),
    (LockedFile, {"name": "x", "sha256": "0" * 64, "size": 1 << 70, "url": ADDRESS}),
    (LockedBody, {"name": "x", "size": 0, "url": "file:///etc/passwd"}),
    (LockedExchange, {"url": "http://h/ b", "sha256": "0" * 64}),
    (LockedExchange, {"url": ADDRESS, "sha256": "0" * 64, "headers": {"a": "b\r\nset: c"}}),
    (LockedExchange, {"url": ADDRESS, "sha256": "0" * 64, "headers": {"a:b": "c"}}),
    (LockedExchange, {"url": ADDRESS, "sha256": "0" * 64, "method": "GET / HTTP/1.1\n"}),
    (LockedExchange, {"url": ADDRESS, "sha256": "0" * 64, "status": 0}),
    (LockedDebian, {"suite": "x\nURIs: http://e/", "snapshot": "20260101T000000Z", "archs": {}}),
    (LockedDebian, {"suite": "x", "snapshot": "\u0662\u0660260101T000000Z", "archs": {}}),
    (LockedImage, {"reference": "dir:/etc", "archs": {}}),
    (LockedImage, {"reference": "--help", "archs": {}}),
    (LockedImage, {"reference": "docker://x", "archs": {}, "indexes": {"sha256:x": 1}}),
    (Base, {"image": "x\nRUN y"}),
    (Base, {"image": "-x"}),
    (Base, {"packages": ("busybox",), "suite": "../x"}),
    (ServiceSection, {"image": "x\nADD y /"}),
    (Config, {"base": {'x".y': {"packages": ("busybox",)}}}),
    (Config, {"base": {"x\ny": {"packages": ("busybox",)}}}),
    (HealthSection, {"http": "/ HTTP/1.1\r\nx: y"}),
]


@pytest.mark.parametrize(("kind", "entry"), WRONG_ENTRIES)
def test_an_entry_is_refused_where_it_enters(kind: Any, entry: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind(**entry)


def test_a_lock_without_a_body_of_an_answer_is_refused() -> None:
    exchange = {"url": ADDRESS, "sha256": "1" * 64}
    runs = {"amd64": {"2" * 64: {"command": "c", "exchanges": [exchange]}}}
    lock = {"epoch": 0, "inputs": {}, "bases": {}, "urls": {}, "runs": runs}
    with pytest.raises(ValidationError, match="bodies lacks 1111"):
        Lock.model_validate(lock)
    Lock.model_validate({**lock, "bodies": {"1" * 64: {"name": "x", "size": 0}}})


def test_the_name_of_an_image_is_one() -> None:
    for right in ("x", "h:5000/a/b:1.2", "h/a@sha256:00", "[::1]:5000/x", "Docker.io/A"):
        assert check_image(right) == right
    for wrong in ("", "-x", "a b", "a\n", "a|b", "../x", "x" * 9000):
        with pytest.raises(ValueError, match="is not the name of an image"):
            check_image(wrong)
