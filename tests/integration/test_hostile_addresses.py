"""An address or a name of a Dockerfile, a lock or a derivation runs nothing on this host."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services import file_server

from vcr.tools.nix import NIX_CONFIG

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9/x"
ZEROS = "0" * 62 + "ab"


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """What the evil package writes when anything of it is run."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), path.read_text()


@pytest.fixture
def evil(tmp_path: Path, canary: Path) -> Path:
    """A context with a directory whose scripts npm and pip run."""
    package = tmp_path / "evil context" / "evilpkg"
    package.mkdir(parents=True)
    run = f"echo ran >> '{canary}'"
    scripts = dict.fromkeys(("prepack", "prepare", "preinstall"), run)
    about = {"name": "evilpkg", "version": "1.0.0", "scripts": scripts}
    (package / "package.json").write_text(json.dumps(about))
    (package / "setup.py").write_text(f"open({str(canary)!r}, 'a').write('ran')")
    (package / "z").write_text("z")
    return package


def in_store(package: Path) -> str:
    """Return where the context, of which nothing but PACKAGE is copied, is in the store."""
    context = package.parent
    argv: list[str | Path] = ["nix-store", "--add", context.rename(context.with_name("context"))]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    context.with_name("context").rename(context)
    return f"{done.stdout.strip()}/{package.name}"


def attack(project: Path, evil: Path, client: str) -> str:
    """Put EVIL into PROJECT; return an address that has CLIENT run what is in it."""
    place = in_store(evil)
    evil.rename(project / evil.name)
    return f"{NOWHERE}|{client}:{place}:z"


@pytest.mark.parametrize("client", ["npm", "pypi"])
def test_an_address_of_add_runs_no_client(
    vcr: Any, project: Path, evil: Path, canary: Path, client: str
) -> None:
    url = attack(project, evil, client)
    (project / "Dockerfile").write_text(
        f"FROM scratch\nCOPY evilpkg /x\nADD --checksum=sha256:{ZEROS} {url} /f\n"
    )
    done = vcr("build", project, "image", code=2)
    assert "Dockerfile:3" in done.stderr
    assert "'|' in an address has to be percent-encoded" in done.stderr
    assert not canary.exists()


def test_an_address_of_the_lock_runs_no_client(
    vcr: Any, project: Path, evil: Path, canary: Path
) -> None:
    url = attack(project, evil, "npm")
    (project / "Dockerfile").write_text("FROM busybox\nCOPY evilpkg /x\n")
    lock = json.loads((project / "vcr.lock").read_text())
    for package in lock["bases"]["busybox"]["archs"]["riscv64"]:
        package |= {"url": url, "sha256": ZEROS}
    (project / "vcr.lock").write_text(json.dumps(lock))
    done = vcr("build", project, "image", code=4)
    assert "bases.busybox" in done.stderr
    assert "percent-encoded" in done.stderr
    assert not canary.exists()


# --- what fill makes of derivations, whoever wrote them


def command(
    tmp_path: Path, argv: list[str | Path], stdin: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    config = os.environ.get("NIX_CONFIG") or NIX_CONFIG
    env = {**os.environ, "NIX_CONFIG": config, "XDG_CACHE_HOME": str(tmp_path / "cache"), **more}
    return subprocess.run(
        argv, input=stdin, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def path_without(tmp_path: Path, *programs: str) -> str:
    """Return a PATH with all that this host's has but PROGRAMS."""
    place = tmp_path / "bin"
    place.mkdir()
    for directory in os.environ["PATH"].split(":"):
        for program in Path(directory).glob("*"):
            if program.name not in programs and not (place / program.name).is_symlink():
                (place / program.name).symlink_to(program)
    return str(place)


def fill(
    tmp_path: Path, sha256: str, path: str = os.environ["PATH"], **env: str
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Have a derivation with the variables ENV filled; return what fill said, and its output."""
    given = {"name": "vcr-pin.bin", "url": NOWHERE, **env}
    (tmp_path / "given.json").write_text(json.dumps(given))
    expression = tmp_path / "pin.nix"
    expression.write_text(
        'derivation (builtins.fromJSON (builtins.readFile ./given.json) // { system = "builtin";'
        'builder = "builtin:fetchurl"; executable = false; unpack = false;'
        f'outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "{sha256}"; }})'
    )
    made = command(tmp_path, ["nix-instantiate", expression])
    assert made.returncode == 0, made.stderr
    drv = made.stdout.strip()
    done = command(tmp_path, [REPO / "nix/pins/fill"], f"{drv}\n", PATH=path)
    return done, command(tmp_path, ["nix-store", "--query", "--outputs", drv]).stdout.strip()


@pytest.mark.parametrize("client", ["npm:{}:z", "pypi:{}:any", "go:{}@v1"])
@pytest.mark.parametrize("variable", ["url", "fillFrom", "client", "other"])
def test_no_derivation_names_a_client(
    tmp_path: Path, evil: Path, canary: Path, variable: str, client: str
) -> None:
    word = client.format(evil)
    for value in (word, f"{NOWHERE}|{word}", f"{NOWHERE}\n{word}", f"{NOWHERE}\t{word}"):
        done, _ = fill(tmp_path, ZEROS, **{variable: value})
        assert done.returncode == 7
        assert "\nmissing\tvcr-pin.bin\tsha256:" in done.stderr
        assert not canary.exists()


def test_what_has_no_address_is_left_to_nix(tmp_path: Path) -> None:
    """On a fresh machine busybox is such a file: Nix makes it of its package."""
    done, _ = fill(tmp_path, ZEROS, url="")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("without", [(), ("curl",), ("curl", "wget")])
def test_an_address_is_read_to_its_end_and_no_further(
    tmp_path: Path, without: tuple[str, ...]
) -> None:
    """Text in other variables that looks like a derivation's is text; by curl, wget and apt."""
    content = os.urandom(32)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "x(1),[a];b").write_bytes(content)
    with file_server(tmp_path / "files") as server:
        fake = '"),("url","http://127.0.0.1:9/fake"),("name","fake'
        done, out = fill(
            tmp_path,
            hashlib.sha256(content).hexdigest(),
            path_without(tmp_path, *without),
            url=f"{server}/x(1),[a];b",
            aaa=f"\\{fake}\\",
            uro=f"(\\\\{fake}(",
            zzz=f"\\\\\\{fake}\\\\",
        )
    assert done.returncode == 0, done.stderr
    assert Path(out).read_bytes() == content


@pytest.mark.parametrize("without", [(), ("curl",), ("curl", "wget")])
def test_a_redirect_leads_to_no_file_of_this_host(tmp_path: Path, without: tuple[str, ...]) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(content := os.urandom(32))
    with file_server(tmp_path, moved={"/x": f"file://{secret}"}) as server:
        sha256, path = hashlib.sha256(content).hexdigest(), path_without(tmp_path, *without)
        done, _ = fill(tmp_path, sha256, path, url=f"{server}/x")
    assert done.returncode == 7
