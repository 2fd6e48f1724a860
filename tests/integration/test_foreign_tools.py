"""Whoever verifies believes no cache: what it gave is built again, or it is not the same.

Each test has a store of its own, in which something is exchanged as a cache that was once
trusted could have done it, or as a disk does.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from private_store import private_store
from program import Vcr, runner_in

from vcr.settings import Settings
from vcr.tools.derivation import read_closure
from vcr.tools.nix import Nix
from vcr.tools.nix_log import store_name
from vcr.tools.nix_store import NixStore
from vcr.verify.proven import Proven

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]
STATIC = REPO / "examples" / "static"
FOREIGN = b"somebody else's"
# What is run where the store is: PATH has other bytes then, and, if TOLD, Nix knows of it.
CHANGE = """
import hashlib, pathlib, sqlite3, subprocess, sys
path, file, text, told = sys.argv[1:]
target = pathlib.Path(path, file)
target.chmod(0o755)
target.write_bytes(target.read_bytes() + text.encode())
target.chmod(0o555 if file == "agent" else 0o444)
if told:
    nar = subprocess.run(["nix-store", "--dump", path], capture_output=True, check=True).stdout
    with sqlite3.connect("/nix/var/nix/db/db.sqlite") as database:
        values = (f"sha256:{hashlib.sha256(nar).hexdigest()}", len(nar), path)
        change = "update ValidPaths set hash = ?, narSize = ?, ca = '' where path = ?"
        database.execute(change, values)
"""
# Paths are gone, as if nobody had ever built them here.
FORGET = """
import shutil, sqlite3, subprocess, sys, os
for path in sys.argv[1:]:
    with sqlite3.connect("/nix/var/nix/db/db.sqlite") as database:
        found = database.execute("select id from ValidPaths where path = ?", (path,)).fetchall()
        for (number,) in found:
            database.execute("delete from Refs where referrer = ?1 or reference = ?1", (number,))
            database.execute("delete from ValidPaths where id = ?", (number,))
    subprocess.run(["chmod", "-R", "u+w", path], check=False)
    shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.remove(path)
"""
# Nix has noted of a path that it is addressed by its content.
CLAIM = """
import sqlite3, sys
with sqlite3.connect("/nix/var/nix/db/db.sqlite") as database:
    change = "update ValidPaths set ca = 'fixed:r:' || hash where path = ?"
    assert database.execute(change, sys.argv[1:]).rowcount == 1
"""


@dataclass(frozen=True)
class Host:
    """A host with a store of its own that has all that this one has."""

    vcr: Vcr

    def run(self, *argv: str | Path, **env: str) -> str:
        done = subprocess.run(
            [*self.vcr.before, *argv], env=self.vcr.env | env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def change(self, path: Path, file: str = "", *, told: bool) -> None:
        """Append FOREIGN to FILE in the store PATH; Nix is TOLD of it, or not."""
        words = (str(path), file, FOREIGN.decode(), "told" if told else "")
        self.run(sys.executable, "-c", CHANGE, *words)

    def forget(self, *paths: Path) -> None:
        self.run(sys.executable, "-c", FORGET, *map(str, paths))

    def holds(self, path: Path) -> bytes:
        return subprocess.run(
            [*self.vcr.before, "cat", path], capture_output=True, check=True
        ).stdout  # fmt: skip


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with private_store(tmp_path / "own") as before, runner_in(tmp_path / "state-own") as vcr:
        vcr.before = before
        yield Host(vcr)


@dataclass(frozen=True)
class Known:
    """Where everything is that the example is made of: by the names of derivations."""

    outputs: dict[str, Path]
    sources: dict[str, Path]
    drvs: dict[str, Path]


def made_of(built: dict[str, Any]) -> Known:
    paths = [row["path"] for row in built["stages"]]
    argv = ["nix-store", "--query", "--deriver", *paths]
    drvs = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    closure = read_closure(map(Path, drvs))
    return Known(
        {store_name(str(drv)).removesuffix(".drv"): derivation.outputs[0].path
         for drv, derivation in closure.items()},
        {source.name[33:]: source for each in closure.values() for source in each.sources},
        {store_name(str(drv)).removesuffix(".drv"): drv for drv in closure},
    )  # fmt: skip


@pytest.fixture
def known(vcr: Vcr) -> Known:
    return made_of(vcr.json("build", STATIC))


@dataclass(frozen=True)
class Cache:
    """A binary cache, and the key that it is, or was, trusted by."""

    place: Path
    key: str

    @property
    def trust(self) -> dict[str, str]:
        return {"VCR_SUBSTITUTERS": f"file://{self.place}", "VCR_TRUSTED_KEYS": self.key}


@pytest.fixture
def offered(tmp_path: Path) -> Callable[..., Cache]:
    """Make a cache that offers a store path, other bytes than it should have if FILE is given."""

    def offer(path: Path, file: str | None = None) -> Cache:
        secret = tmp_path / "key"
        make: list[str | Path] = [
            "nix-store",
            "--generate-binary-cache-key",
            "team-1",
            secret,
            tmp_path / "pub",
        ]
        subprocess.run(make, check=True)
        place = tmp_path / "cache"
        with private_store(tmp_path / "its") as before, runner_in(tmp_path / "state-its") as vcr:
            vcr.before = before
            its = Host(vcr)
            if file is not None:
                its.change(path, file, told=True)
            its.run("nix", "copy", "--no-recursive", "--to",
                    f"file://{place}?compression=none&secret-key={secret}", path)  # fmt: skip
        return Cache(place, (tmp_path / "pub").read_text())

    return offer


def ladder_of(host: Host, tmp_path: Path, *words: str | Path, **env: str) -> Path:
    """Build the example on HOST; return the file of its ladder."""
    host.vcr.env |= env
    file = tmp_path / "ladder.json"
    file.write_text(host.vcr("--json", "build", STATIC, *words).stdout)
    for name in env:
        del host.vcr.env[name]
    return file


def verify(host: Host, ladder: Path, code: int, *words: str) -> str:
    """Verify LADDER on HOST, which ends with CODE; a statement is made when that is 0."""
    key, output = ladder.with_name("me.key"), ladder.with_name("mine.json")
    if not key.exists():
        host.vcr("attest", "keygen", ladder.with_name("me"))
    told = host.vcr("verify", ladder, STATIC, "--sign", key, "--output", output, *words, code=code)
    assert output.exists() == (code == 0)
    return told.stderr


@pytest.mark.parametrize("claims", [False, True], ids=["signed", "addressed by content, it says"])
def test_a_foreign_agent_of_a_cache_is_not_the_same(
    known: Known, host: Host, offered: Callable[..., Cache], tmp_path: Path, *, claims: bool
) -> None:
    agent = known.outputs["vcr-agent-debug-riscv64"]
    cache = offered(agent, "agent")
    host.forget(agent, known.outputs["vcr-rootfs-static"], known.outputs["vcr-squashfs-static"])
    ladder = ladder_of(host, tmp_path, **cache.trust)
    assert host.holds(agent / "agent").endswith(FOREIGN)
    if claims:  # what a cache says of it is noted, and no signature covers it
        host.run(sys.executable, "-c", CLAIM, agent)
    said = verify(host, ladder, 3)
    assert "vcr-agent-debug-riscv64 has changed" in said
    assert "it was built elsewhere, and came from a cache" in said
    assert "vcr-agent-debug-riscv64.drv" in said
    about = host.vcr("attest", STATIC, "--key", ladder.with_name("me.key"))
    statement = tmp_path / "statement.json"
    statement.write_text(about.stdout)
    words = ("--profile", "vm", "--rebuild", "-C", STATIC)
    told = host.vcr(
        "attest", "verify", statement, "--key", ladder.with_name("me.pub"), *words, code=3
    )
    assert "vcr-agent-debug-riscv64 has changed" in told.stderr


def test_what_a_cache_rightly_gave_is_built_again_once(
    known: Known, host: Host, offered: Callable[..., Cache], tmp_path: Path
) -> None:
    agent = known.outputs["vcr-agent-debug-riscv64"]
    cache = offered(agent)
    host.forget(agent, known.outputs["vcr-rootfs-static"])
    ladder = ladder_of(host, tmp_path, **cache.trust)
    assert "vcr-agent-debug-riscv64" in verify(host, ladder, 0)
    content = json.loads(ladder.with_name("mine.json").read_text())
    statement = json.loads(base64.b64decode(content["payload"]))
    assert statement["predicate"]["rebuilt"] == "project"
    assert "vcr-agent-debug-riscv64" not in verify(host, ladder, 0)


def test_a_foreign_source_under_a_name_of_ours_is_found(
    known: Known, host: Host, offered: Callable[..., Cache], tmp_path: Path
) -> None:
    """A cache planted it before the project had it: what is there is not imported again."""
    boot = known.sources["boot"]
    cache = offered(boot, "")
    host.forget(boot, known.outputs["vcr-rootfs-static"], known.outputs["vcr-squashfs-static"])
    config = f"extra-substituters = file://{cache.place}\nextra-trusted-public-keys = {cache.key}"
    config = f"{host.vcr.env.get('NIX_CONFIG', '')}\n{config}"
    host.run("nix-store", "--realise", boot, NIX_CONFIG=config)
    ladder = ladder_of(host, tmp_path)
    assert host.holds(boot).endswith(FOREIGN)
    said = verify(host, ladder, 3)
    assert "its content does not match its name" in said
    assert str(boot) in said


def test_a_file_that_is_not_its_hash_any_more_is_found(
    known: Known, host: Host, tmp_path: Path
) -> None:
    ladder = ladder_of(host, tmp_path)
    deb = next(path for name, path in known.outputs.items() if name.startswith("busybox-static_")
               and name.endswith("riscv64.deb"))  # fmt: skip
    host.change(deb, told=True)
    said = verify(host, ladder, 3)
    assert "its hash is not the one in its derivation" in said
    assert str(deb) in said


def test_a_tool_that_was_changed_since_it_was_built_is_found(
    known: Known, host: Host, tmp_path: Path
) -> None:
    ladder = ladder_of(host, tmp_path)
    tools = known.outputs["vcr-tools-python"]
    host.change(tools, "usr/lib/python3.13/tarfile.py", told=False)
    said = verify(host, ladder, 3)
    assert "it was changed since it was built" in said
    assert str(tools) in said


def test_what_was_built_here_with_a_compiler_that_is_gone_is_built_again(
    known: Known, host: Host, tmp_path: Path
) -> None:
    """The compiler was of a cache, and then collected: what it made calls itself our own.

    Of linuxkit, which it compiled, too, this host has seen before that it comes out the same.
    """
    (linuxkit,) = (name for name in known.outputs if name.startswith("vcr-linuxkit-"))
    there = NixStore(Nix(Settings.load())).valid([known.outputs[linuxkit]])
    proven = Proven(Path(host.vcr.env["XDG_STATE_HOME"]) / "vcr" / "proven")
    proven.note({known.drvs[linuxkit]: there.values()})
    agent = known.outputs["vcr-agent-debug-riscv64"]
    host.change(agent, "agent", told=True)
    host.forget(known.outputs["vcr-tools-go"])
    host.forget(known.outputs["vcr-rootfs-static"], known.outputs["vcr-squashfs-static"])
    ladder = ladder_of(host, tmp_path)
    said = verify(host, ladder, 3)
    assert "vcr-agent-debug-riscv64 has changed" in said
    assert linuxkit not in said


@pytest.mark.vm
def test_a_machine_of_a_foreign_agent_was_not_executed_again(
    vcr: Vcr, host: Host, offered: Callable[..., Cache], tmp_path: Path
) -> None:
    known = made_of(vcr.json("build", STATIC, "--profile", "prod"))
    agent = known.outputs["vcr-agent-riscv64"]
    cache = offered(agent, "agent")
    stages = ("rootfs", "squashfs", "machine", "snapshot", "seal")
    host.forget(agent, *(known.outputs[f"vcr-{name}-static"] for name in stages))
    ladder_of(host, tmp_path, "--profile", "prod", **cache.trust)
    host.vcr("attest", "keygen", tmp_path / "me")
    words = ("--profile", "prod", "--predicate", "run-once", "--key", tmp_path / "me.key")
    told = host.vcr("attest", STATIC, *words, "--output", tmp_path / "once.json", code=3)
    assert "vcr-agent-riscv64 has changed" in told.stderr
    assert not (tmp_path / "once.json").exists()
