"""The toolchain: every tool starts, nothing rewrites the store, pins are verified."""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from vcr.errors import MismatchError
from vcr.foreign import MIB
from vcr.lock.debian.archive import SNAPSHOTS
from vcr.lock.network.fetch import Source, fetch
from vcr.settings import Settings
from vcr.tools.apt import mirrors
from vcr.tools.gpgv import Gpgv
from vcr.tools.nix import NIX_CONFIG, Nix

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]


def nix_env(**more: str) -> dict[str, str]:
    return {**os.environ, "NIX_CONFIG": os.environ.get("NIX_CONFIG") or NIX_CONFIG, **more}


def lines(argv: Sequence[str | Path]) -> list[str]:
    done = subprocess.run(argv, env=nix_env(), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def build(*attrs: str) -> list[Path]:
    nix = Nix(Settings.load())
    return [nix.build(attr, lambda _: None) for attr in attrs]


def test_every_tool_starts() -> None:
    (out,) = build("checks.tools")
    assert out.exists()


def test_running_python_does_not_change_its_store_path() -> None:
    for path in build("python", "test"):
        code = "import asyncio, json, pathlib, re, linecache, rich.console, pydantic, click"
        subprocess.run([path / "usr/bin/python3", "-I", "-c", code], check=True)
        subprocess.run(["nix-store", "--verify-path", path], check=True, env=nix_env())


def test_a_toolset_built_again_is_the_same() -> None:
    drv = Nix(Settings.load()).evaluate(["verify"]).targets[0].drv
    build("verify")
    # A program of it has the set's own path in it, so under another name it would differ.
    subprocess.run(["nix-store", "--realise", "--check", drv], check=True, env=nix_env())


def test_the_installed_program_builds_what_a_checkout_builds() -> None:
    (program,) = build("vcr")
    query = ["nix-store", "--query", "--references"]
    references = lines([*query, program])
    (library,) = (path for path in references if path.endswith("-vcr-lib"))
    assert lines([*query, library]) == []
    step = ["nix-instantiate", "--expr", '{ nix }: (import nix { }).step "riscv64"', "--arg", "nix"]
    assert lines([*step, f"{library}/nix"]) == lines([*step, f"{REPO}/nix"])


def test_the_shell_works_without_nixpkgs() -> None:
    build("shell")  # its pins are filled; nix develop by itself would ask the network
    command = ["nix", "develop", "--offline", f"path:{REPO}", "-c", "python3", "-c"]
    done = subprocess.run(
        [*command, "import click, sys; print(sys.executable)"],
        env=nix_env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "-vcr-tools-test/" in done.stdout


def test_bin_vcr_and_vcr_configure_nix_alike() -> None:
    script = (REPO / "nix/lib/setup.sh").read_text()
    for line in NIX_CONFIG.splitlines():
        assert line in script


def test_the_archive_signature_is_checked() -> None:
    gpgv = Gpgv.of_toolset(build("verify")[0])
    nearer = [Source(f"{base}/dists/trixie/InRelease", is_mirror=True) for base in mirrors()]
    archive = Source(f"{SNAPSHOTS}/20261122T000000Z/dists/trixie/InRelease")
    message = fetch([*nearer, archive], most=MIB)
    text = gpgv.signed_text(message, "trixie/InRelease")
    assert "Codename: trixie" in text
    assert "-----BEGIN" not in text
    for bad in (
        message.replace(b"Codename: trixie", b"Codename: trixiE"),
        message.partition(b"-----BEGIN PGP SIGNATURE-----")[0],
        b"Codename: trixie\n",
        b"Codename: evil\n" + message,
    ):
        try:
            signed = gpgv.signed_text(bad, "trixie/InRelease")
        except MismatchError:
            continue
        assert "evil" not in signed  # what stands before the signed part is not taken


# --- filling pins


def instantiate(tmp_path: Path, name: str, content: bytes, url: str) -> str:
    """Return the derivation of a fixed-output file that holds CONTENT."""
    digest = hashlib.sha256(content).hexdigest()
    expression = tmp_path / "pin.nix"
    expression.write_text(
        'derivation { system = "builtin"; builder = "builtin:fetchurl"; '
        f'name = "{name}"; url = "{url}"; executable = false; unpack = false; '
        'outputHashMode = "flat"; outputHashAlgo = "sha256"; '
        f'outputHash = "{digest}"; }}'
    )
    (drv,) = lines(["nix-instantiate", expression])
    return drv


def fill(tmp_path: Path, drv: str, brought: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REPO / "nix/pins/fill", "--from", brought],
        input=f"{drv}\n",
        env=nix_env(XDG_CACHE_HOME=str(tmp_path / "cache")),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    path = tmp_path / "brought by hand"
    path.mkdir()
    return path


NOWHERE = "http://127.0.0.1:9/nowhere/x.bin"


def test_a_file_brought_by_hand_fills_a_pin(tmp_path: Path, brought: Path) -> None:
    content = os.urandom(32)
    drv = instantiate(tmp_path, "vcr-pin.bin", content, NOWHERE)
    (brought / "vcr-pin.bin").write_bytes(content)
    done = fill(tmp_path, drv, brought)
    assert done.returncode == 0, done.stderr
    (out,) = lines(["nix-store", "--realise", drv])
    assert Path(out).read_bytes() == content


def test_what_a_lock_kept_of_an_answer_fills_it_in(tmp_path: Path, brought: Path) -> None:
    """Its address may have another file by now, as each of a repository of Alpine has."""
    content = os.urandom(32)
    kept = tmp_path / "cache/vcr/bodies" / hashlib.sha256(content).hexdigest() / "tool-1-r0.apk"
    kept.parent.mkdir(parents=True)
    drv = instantiate(tmp_path, kept.name, content, NOWHERE)
    kept.write_bytes(b"damaged")
    done = fill(tmp_path, drv, brought)
    assert done.returncode == 7
    assert f"refused: {kept} is not {kept.name} with sha256:" in done.stderr
    kept.write_bytes(content)
    done = fill(tmp_path, drv, brought)
    assert done.returncode == 0, done.stderr
    (out,) = lines(["nix-store", "--realise", drv])
    assert Path(out).read_bytes() == content
    assert kept.read_bytes() == content, "the next store may need it, too"


def test_what_a_failed_fetch_left_in_the_store_does_not_pass_for_the_file(
    tmp_path: Path, brought: Path
) -> None:
    content = os.urandom(32)
    drv = instantiate(tmp_path, "vcr-pin.bin", content, NOWHERE)
    realise = ["nix-store", "--realise", drv]
    assert subprocess.run(realise, env=nix_env(), capture_output=True, check=False).returncode
    (brought / "vcr-pin.bin").write_bytes(content)
    done = fill(tmp_path, drv, brought)
    assert done.returncode == 0, done.stderr
    (out,) = lines(realise)
    assert Path(out).read_bytes() == content


def test_a_wrong_file_is_refused_by_name(tmp_path: Path, brought: Path) -> None:
    drv = instantiate(tmp_path, "vcr-pin.bin", os.urandom(32), NOWHERE)
    (brought / "vcr-pin.bin").write_bytes(b"tampered")
    done = fill(tmp_path, drv, brought)
    assert done.returncode == 7
    assert f"refused: {brought}/vcr-pin.bin is not vcr-pin.bin with sha256:" in done.stderr


def test_what_nobody_has_is_named_with_hash_and_address(tmp_path: Path, brought: Path) -> None:
    drv = instantiate(tmp_path, "vcr-pin.bin", os.urandom(32), NOWHERE)
    done = fill(tmp_path, drv, brought)
    assert done.returncode == 7
    assert re.search(
        rf"^missing\tvcr-pin\.bin\tsha256:[0-9a-f]{{64}}\t{NOWHERE}$", done.stderr, re.MULTILINE
    )


# --- the pins themselves


def test_clients_make_what_the_pins_name_and_nothing_else() -> None:
    """The table is of files of nix/pins alone, and each field is fit for a line and a word."""
    rows = lines(["nix", "eval", "--raw", "-f", REPO / "nix/pins/clients.nix"])
    fields = [row.split("\t") for row in rows]
    assert {client for _, client, _, _ in fields} == {"npm", "pypi", "go"}
    for sha256, _, what, where in fields:
        assert re.fullmatch(r"[0-9a-f]{64}", sha256)
        assert re.fullmatch(r"[a-z0-9][A-Za-z0-9/@=.+-]*[@=][A-Za-z0-9.+-]+", what)
        assert re.fullmatch(r"-|[A-Za-z0-9_][A-Za-z0-9_/]*", where)


def test_every_pin_has_its_hash_and_every_set_its_packages() -> None:
    for path in sorted((REPO / "nix/pins").glob("debian-*.json")):
        pins = json.loads(path.read_text())
        assert path.read_text() == json.dumps(pins, indent=1, sort_keys=True) + "\n"
        for package in pins["packages"].values():
            assert re.fullmatch(r"[0-9a-f]{64}", package["sha256"])
            assert package["path"].startswith("pool/main/")
        members = {name for names in pins["sets"].values() for name in names}
        assert members == set(pins["packages"])
