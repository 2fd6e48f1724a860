"""Where a drive is served, what nbdkit is told, and what stands in the way."""

import socket
from pathlib import Path

import pytest

from vcr.errors import HostError, UsageError
from vcr.export import nbd
from vcr.export.nbd import Address, parse_address
from vcr.tools.nbdkit import Nbdkit


@pytest.mark.parametrize(
    ("text", "address", "uri", "options"),
    [
        ("tcp:10809", Address("tcp", host="127.0.0.1", port=10809), "nbd://127.0.0.1:10809",
         ("--ipaddr", "127.0.0.1", "--port", "10809")),
        ("tcp:0.0.0.0:1", Address("tcp", host="0.0.0.0", port=1), "nbd://0.0.0.0:1",
         ("--ipaddr", "0.0.0.0", "--port", "1")),
        ("unix:/run/a b", Address("unix", path=Path("/run/a b")), "nbd+unix:///?socket=/run/a%20b",
         ("--unix", "/run/a b")),
        ("vsock:5000", Address("vsock", port=5000), "nbd+vsock://2:5000",
         ("--vsock", "--port", "5000")),
    ],
)  # fmt: skip
def test_addresses_are_read(
    text: str, address: Address, uri: str, options: tuple[str, ...]
) -> None:
    assert parse_address(text) == address
    assert address.uri == uri
    assert address.options == options


@pytest.mark.parametrize(
    "text",
    ["", "tcp", "tcp:", "tcp:x", "tcp:70000", "tcp:::1:5", "unix:", "vsock:", "vsock:x",
     "vsock:4294967295", "http:80", "10809"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="does not say where to serve"):
        parse_address(text)


def test_nbdkit_serves_read_only_with_the_plugin_of_its_toolset(tmp_path: Path) -> None:
    plugin = tmp_path / "usr/lib/x/nbdkit/plugins/nbdkit-file-plugin.so"
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    nbdkit = Nbdkit.of_toolset(tmp_path)
    options = parse_address("vsock:5000").options
    assert nbdkit.command_line(Path("/d/drive"), options, Path("/t/pid")) == [
        f"{tmp_path}/usr/bin/nbdkit", "--foreground", "--readonly", "--pidfile", "/t/pid",
        "--vsock", "--port", "5000", str(plugin), "file=/d/drive",
    ]  # fmt: skip
    plugin.unlink()
    with pytest.raises(HostError, match="no file plugin"):
        Nbdkit.of_toolset(tmp_path)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(HostError, match=f"port {port} is not free") as caught:
            nbd._available(parse_address(f"tcp:{port}"))
    assert f"--nbd tcp:{port + 1}" in caught.value.fix


def test_any_free_port() -> None:
    assert nbd._available(parse_address("tcp:0")).port > 0


def test_sockets_of_the_dead_are_removed_and_of_the_living_kept(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(HostError, match="is served already"):
            nbd._available(Address("unix", path=path))
        assert path.exists()
    nbd._available(Address("unix", path=path))
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(UsageError, match="is not a socket"):
        nbd._available(Address("unix", path=path))
    with pytest.raises(HostError, match="too long"):
        nbd._available(Address("unix", path=tmp_path / ("x" * 108)))


def test_a_host_without_vsock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nbd, "VSOCK", tmp_path / "vsock")
    with pytest.raises(HostError, match="no vsock"):
        nbd._available(parse_address("vsock:5000"))
