"""Exports of a real machine: checked by stock veritysetup, served, pushed and pulled."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from exports import state_of
from processes import is_running
from services import password_registry, registry_server, tool, toolset

pytestmark = [pytest.mark.nix, pytest.mark.vm]

REPO = Path(__file__).resolve().parents[2]
STATIC = REPO / "examples" / "static"


@pytest.fixture
def export(vcr: Any, tmp_path: Path) -> Path:
    vcr("export", "prod", tmp_path / "export", STATIC)
    return tmp_path / "export"


def verify(export: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the export's own script, with cryptsetup in the path."""
    path = f"{toolset('build')}/usr/sbin:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", export / "verify.sh", *words], env={**os.environ, "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_stock_tools_agree_and_notice(vcr: Any, export: Path, tmp_path: Path) -> None:
    again = vcr.json("export", "prod", tmp_path / "again", STATIC)
    done = verify(export, again["manifest"])
    assert done.returncode == 0, done.stderr
    sealed = json.loads((export / "ladder.json").read_text())["ladder"][-1]["digest"]
    assert f"sealed    {sealed}\n" in done.stdout
    # The drive, with a manifest that agrees with it: its root hash does not.
    drive, manifest = export / "drive", export / "manifest.json"
    data = bytearray(drive.read_bytes())
    data[len(data) // 2] ^= 1
    drive.write_bytes(data)
    old, new = (subprocess.run(["sha256sum"], stdin=(root / "drive").open("rb"), check=True,
                               capture_output=True, text=True).stdout[:64]
                for root in (tmp_path / "again", export))  # fmt: skip
    manifest.write_text(manifest.read_text().replace(old, new))
    done = verify(export)
    assert done.returncode == 3
    assert "the drive is not the one with the root hash" in done.stderr


def test_another_host_exports_the_same(vcr: Any, export: Path, tmp_path: Path) -> None:
    vcr.env.update(TZ="Pacific/Kiritimati", LC_ALL="tr_TR.UTF-8", SOURCE_DATE_EPOCH="1",
                   XDG_STATE_HOME=str(tmp_path / "other"))  # fmt: skip
    old = os.umask(0o077)
    try:
        vcr("export", "prod", tmp_path / "there" / "export", STATIC)
    finally:
        os.umask(old)
    assert state_of(tmp_path / "there" / "export") == state_of(export)


def test_the_ladder_of_an_export_verifies(vcr: Any, export: Path) -> None:
    assert "same" in vcr("verify", export / "ladder.json", STATIC, "--accept-cache").stdout
    root = json.loads((export / "verity.json").read_text())["root_hash"]
    vcr("verify", "--image", export / "drive", "--root", root)


def test_a_full_disk_leaves_nothing(vcr: Any, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        told = vcr("export", "prod", disk / "export", STATIC, code=5).stderr
        assert "there is no room for the export" in told
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


# --- NBD


def serve(vcr: Any, where: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    child = vcr.spawn("--json", "-q", "export", "prod", "--nbd", where, STATIC)
    line = child.stdout.readline()
    assert line, child.stderr.read()
    return child, json.loads(line)


def end(child: subprocess.Popen[str], server: dict[str, Any], by: signal.Signals) -> None:
    child.send_signal(by)
    assert child.wait(15) == 130
    assert not is_running(server["pid"])


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_two_clients_read_a_drive_at_once(
    vcr: Any, export: Path, tmp_path: Path, by: signal.Signals
) -> None:
    child, server = serve(vcr, "tcp:0")
    assert server["uri"].startswith("nbd://127.0.0.1:")
    info = subprocess.run(
        [tool("nbd-client", "nbdinfo"), "--json", server["uri"]],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (told,) = json.loads(info.stdout)["exports"]
    assert told["is_read_only"] is True
    assert told["export-size"] == server["size"]

    def copy(name: str) -> bytes:
        target = tmp_path / name
        subprocess.run([tool("nbd-client", "nbdcopy"), server["uri"], target], check=True)
        return target.read_bytes()

    port = int(server["uri"].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):  # one that never says a word
        with ThreadPoolExecutor(2) as clients:
            copies = list(clients.map(copy, ("first", "second")))
        assert copies == [(export / "drive").read_bytes()] * 2
        written = subprocess.run(
            [tool("nbd-client", "nbdcopy"), tmp_path / "first", server["uri"]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert written.returncode != 0
        assert "read-only" in written.stderr
        end(child, server, by)


def test_a_drive_on_a_socket(vcr: Any, export: Path, tmp_path: Path) -> None:
    path = Path(vcr.env["XDG_RUNTIME_DIR"]) / "drive.sock"
    child, server = serve(vcr, f"unix:{path}")
    assert path.stat().st_mode & 0o022 == 0  # nobody else may connect
    taken = vcr("export", "prod", "--nbd", f"unix:{path}", STATIC, code=5)
    assert "is served already" in taken.stderr
    target = tmp_path / "copy"
    subprocess.run([tool("nbd-client", "nbdcopy"), server["uri"], target], check=True)
    assert target.read_bytes() == (export / "drive").read_bytes()
    end(child, server, signal.SIGTERM)
    assert not path.exists()


def test_a_port_that_is_taken(vcr: Any) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        told = vcr("export", "prod", "--nbd", f"tcp:{port}", STATIC, code=5).stderr
    assert f"port {port} is not free" in told
    assert f"(pid {os.getpid()}) listens on it" in told


def test_no_orphan_is_left_by_a_kill(vcr: Any) -> None:
    child, server = serve(vcr, "tcp:0")
    child.kill()
    child.wait()
    deadline = time.monotonic() + 10
    while is_running(server["pid"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(server["pid"])


def test_a_drive_over_vsock(vcr: Any, export: Path, tmp_path: Path) -> None:
    if not Path("/dev/vsock").exists():
        pytest.skip("needs /dev/vsock")
    child, server = serve(vcr, f"vsock:{10000 + os.getpid() % 50000}")
    assert server["uri"].startswith("nbd+vsock://2:")
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as probe:
            probe.settimeout(2)
            probe.connect((1, int(server["uri"].rpartition(":")[2])))
        local = server["uri"].replace("//2:", "//1:")
        target = tmp_path / "copy"
        subprocess.run([tool("nbd-client", "nbdcopy"), local, target], check=True)
        assert target.read_bytes() == (export / "drive").read_bytes()
        loopback = True
    except OSError:
        loopback = False
    end(child, server, signal.SIGTERM)
    if not loopback:
        pytest.skip("it listens; reading needs vsock_loopback")


# --- registries


def test_what_is_pushed_comes_back(vcr: Any, export: Path, tmp_path: Path) -> None:
    with registry_server(tmp_path / "registry") as address:
        reference = f"{address}/team/static:1"
        digest = vcr.json("push", reference, STATIC)["digest"]
        pulled = vcr.json("pull", reference, tmp_path / "pulled")
        assert state_of(tmp_path / "pulled") == state_of(export)
        vcr("pull", f"{address}/team/static@{digest}", tmp_path / "by digest",
            "--manifest", pulled["manifest"])  # fmt: skip
        again = vcr.json("push", "--export", export, "--dir", tmp_path / "layout")
        assert again["digest"] == digest
        inspect: list[str | Path] = [
            tool("oci", "skopeo"),
            "inspect",
            "--tls-verify=false",
            "--raw",
        ]
        raw = subprocess.run([*inspect, f"docker://{reference}"], check=True, capture_output=True)
        image, artifact = json.loads(raw.stdout)["manifests"]
        assert image["digest"] == vcr.json("build", "image", STATIC)["ladder"][0]["digest"]
        assert artifact["artifactType"] == "application/vnd.vcr.export.v1"
        told = vcr("pull", reference, tmp_path / "other", "--manifest", digest, code=3).stderr
        assert "this is another export" in told
        flip_drive(tmp_path / "registry", export)
        vcr("pull", reference, tmp_path / "other", code=3)
        assert not (tmp_path / "other").exists()
        vcr("pull", f"{address}/team/none:1", tmp_path / "other", code=7)


def flip_drive(registry: Path, export: Path) -> None:
    """Change a byte of the drive where the registry keeps it."""
    size = (export / "drive").stat().st_size
    (blob,) = [path for path in registry.rglob("data") if path.stat().st_size == size]
    data = bytearray(blob.read_bytes())
    data[size // 2] ^= 1
    blob.write_bytes(data)


def test_credentials_are_those_of_skopeo(vcr: Any, export: Path, tmp_path: Path) -> None:
    with password_registry(tmp_path / "registry") as address:
        vcr.env["REGISTRY_AUTH_FILE"] = str(tmp_path / "auth.json")
        words = ("push", f"{address}/team/static:1", "--export", export)
        assert f"skopeo login {address}" in vcr(*words, code=5).stderr
        subprocess.run(
            [tool("oci", "skopeo"), "login", "--tls-verify=false", "-u", "user",
             "--password-stdin", address],
            input="secret", text=True, env=vcr.env, check=True, capture_output=True,
        )  # fmt: skip
        vcr(*words)


def test_nothing_is_said_in_the_open_to_another_host(
    vcr: Any, export: Path, tmp_path: Path
) -> None:
    """A name that is not loopback by its looks; the server speaks plain HTTP only."""
    with registry_server(tmp_path / "registry") as address:
        name = f"{socket.gethostname()}:{address.rpartition(':')[2]}"
        done = vcr.attempt("push", f"{name}/team/static:1", "--export", export)
        assert done.returncode == 7
        assert not list((tmp_path / "registry").rglob("data"))


# --- rebuilds on two hosts


@pytest.fixture
def rebuild(vcr: Any) -> Any:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [REPO / "bin/rebuild", *words], env=vcr.env, capture_output=True, text=True, check=False
        )

    return run


def test_two_hosts_rebuild_compare_and_publish(vcr: Any, rebuild: Any, tmp_path: Path) -> None:
    """Two checkouts at other paths, with caches and state of their own, in place of two hosts."""
    for name in ("first", "second"):
        project = tmp_path / f"the {name} host" / "static"
        shutil.copytree(STATIC, project)
        vcr.env["XDG_STATE_HOME"] = str(tmp_path / name / "state")
        done = rebuild("build", project, tmp_path / name / "out")
        assert done.returncode == 0, done.stderr
    first, second = tmp_path / "first/out", tmp_path / "second/out"
    done = rebuild("compare", first, second)
    assert done.returncode == 0, done.stderr
    assert "2 builds are the same: sha256:" in done.stdout
    with registry_server(tmp_path / "registry") as address:
        done = rebuild("publish", first, f"{address}/team/static:1")
        assert done.returncode == 0, done.stderr
        vcr("pull", f"{address}/team/static:1", tmp_path / "pulled")
    assert state_of(tmp_path / "pulled") == state_of(second)
    other = tmp_path / "the second host" / "static"
    (other / "www/index.html").write_text("<p>another page</p>\n")
    assert rebuild("build", other, tmp_path / "other").returncode == 0
    done = rebuild("compare", first, tmp_path / "other")
    assert done.returncode == 3
    assert "error: the rung image differs" in done.stderr
    assert "/www/index.html" in done.stdout
