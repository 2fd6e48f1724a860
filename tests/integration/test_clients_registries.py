"""Clients of public registries, each with a small project: locked once, replayed to the same bytes.

They ask what the registries have today, in emulated machines, which takes minutes for each.
"""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from again import assert_same_again
from test_run import run_drv

CHOSEN = os.environ.get("VCR_TEST_CLIENTS", "")
pytestmark = [
    pytest.mark.nix,
    pytest.mark.vm,
    pytest.mark.limit(7200),
    pytest.mark.skipif(not CHOSEN, reason="needs VCR_TEST_CLIENTS=all or names: an hour or more"),
]

# Pure Python, by today's versions; with what they need themselves, more than 30 wheels.
WHEELS = (
    "requests click itsdangerous jinja2 blinker werkzeug flask packaging six attrs pytz tzdata"
    " python-dateutil pyparsing toml iniconfig pluggy pytest colorama pygments rich wheel filelock"
    " platformdirs tqdm wcwidth prompt-toolkit tabulate humanize"
)
PACKAGES = ("express", "mocha", "webpack", "webpack-cli", "eslint", "jest")  # npm; 300 with theirs
GO = {
    "go.mod": "module example.test/app\n\ngo 1.21\n\nrequire rsc.io/quote v1.5.2\n",
    "main.go": (
        'package main\n\nimport "rsc.io/quote"\n\nfunc main() { println(quote.Hello()) }\n'
    ),
}
CARGO = {
    "Cargo.toml": (
        '[package]\nname = "app"\nversion = "1.0.0"\nedition = "2021"\n\n'
        '[dependencies]\nitoa = "=1.0.11"\n'
    ),
    "src/main.rs": 'fn main() { println!("{}", itoa::Buffer::new().format(7)); }\n',
}
COMPOSER = {"composer.json": '{"require": {"psr/log": "^3.0"}}\n'}
BUNDLER = {"Gemfile": 'source "https://rubygems.org"\ngem "rack", "3.0.8"\n'}
MINIMUM = ("dash", "coreutils", "base-passwd", "base-files")


def npm_lock(directory: Path) -> None:
    """Resolve PACKAGES by this host's npm, and make them a project in DIRECTORY."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm on this host, to make package-lock.json")
    (directory / "package.json").write_text('{"name": "app", "version": "1.0.0"}\n')
    words = ["install", "--package-lock-only", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(["npm", *words, *PACKAGES], cwd=directory, check=True, capture_output=True)
    lock = json.loads((directory / "package-lock.json").read_text())
    assert len(lock["packages"]) > 300


@dataclass(frozen=True)
class Client:
    """A client, the registry that it asks, and its project."""

    name: str
    registry: str  # an address that answers where it can be reached
    packages: tuple[str, ...]  # of Debian
    steps: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], None] | None = None
    answers: int = 1  # that are locked, at least
    memory: str = "2 GiB"
    configure: bool = False  # PHP has its extensions when the scripts of their packages have run


CLIENTS = (
    Client(
        "pip",
        "https://pypi.org/simple/pip/",
        ("python3", "python3-pip"),
        (f"pip install --break-system-packages --no-cache-dir {WHEELS}",),
        answers=60,
    ),
    Client(
        "npm",
        "https://registry.npmjs.org/ms",
        ("nodejs", "npm"),
        ("cd /src && npm ci --no-audit --no-fund",),
        prepare=npm_lock,
        answers=300,
        memory="4 GiB",
    ),
    Client(
        "yarn",
        "https://registry.yarnpkg.com/ms",
        ("nodejs", "npm"),
        ("npm install -g yarn@1.22.22", "cd /src && yarn add ms@2.1.3 debug@4.4.0"),
        {"package.json": '{"name": "app", "version": "1.0.0", "license": "MIT"}\n'},
        answers=5,
    ),
    Client(
        "berry",  # yarn 4
        "https://registry.yarnpkg.com/ms",
        ("nodejs", "yarnpkg"),
        ("cd /src && yarnpkg add ms@2.1.3 debug@4.4.0",),
        {"package.json": '{"name": "app", "version": "1.0.0", "license": "MIT"}\n'},
        answers=4,
    ),
    Client(
        "pnpm",
        "https://registry.npmjs.org/ms",
        ("nodejs", "npm"),
        ("npm install -g pnpm@9.15.4", "cd /src && pnpm add ms@2.1.3 debug@4.4.0"),
        {"package.json": '{"name": "app", "version": "1.0.0", "license": "MIT"}\n'},
        answers=5,
    ),
    Client(
        "go",
        "https://proxy.golang.org/rsc.io/quote/@v/v1.5.2.mod",
        ("golang-go", "ca-certificates"),
        ("cd /src && GOFLAGS=-mod=mod GOSUMDB=off go mod download && rm -rf /root/.cache",),
        GO,
        answers=3,
    ),
    Client(
        "cargo",
        "https://index.crates.io/config.json",
        ("cargo",),
        ("cd /src && cargo fetch",),
        CARGO,
        answers=2,
        memory="4 GiB",
    ),
    Client(
        "composer",
        "https://repo.packagist.org/packages.json",
        ("composer", "php-cli", "php-mbstring", "unzip"),
        ("cd /src && composer install --no-interaction --no-progress",),
        COMPOSER,
        configure=True,
    ),
    Client(
        "bundler",
        "https://rubygems.org/info/rack",
        ("ruby", "bundler"),
        ("cd /src && bundle install",),
        BUNDLER,
    ),
)


def reaches(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310 -- of this file
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_is_recorded_and_replayed(vcr: Any, tmp_path: Path, client: Client) -> None:
    if CHOSEN != "all" and client.name not in CHOSEN.split(","):
        pytest.skip(f"needs VCR_TEST_CLIENTS with {client.name}")
    if not reaches(client.registry):
        pytest.skip(f"needs {client.registry}")
    project, source = tmp_path / "app", tmp_path / "app/src"
    source.mkdir(parents=True)
    for name, text in client.files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    if client.prepare is not None:
        client.prepare(source)
    (source / "here").touch()
    packages = json.dumps([*client.packages, *MINIMUM])
    (project / "vcr.toml").write_text(
        f"[base.tools]\npackages = {packages}\nconfigure = {json.dumps(client.configure)}\n\n"
        f'[build]\nmemory = "{client.memory}"\n'
    )
    steps = "".join(f"RUN {step}\n" for step in client.steps)
    (project / "Dockerfile").write_text(f"FROM tools\nCOPY src /src\n{steps}")
    vcr("lock", project)
    lock = (project / "vcr.lock").read_text()
    runs = json.loads(lock)["runs"]["riscv64"].values()
    assert sum(len(run["exchanges"]) for run in runs) >= client.answers
    vcr("build", "image", project)
    assert (project / "vcr.lock").read_text() == lock
    for number in range(len(client.steps)):
        assert_same_again([run_drv(project, f"0.{number + 2}.run")])
