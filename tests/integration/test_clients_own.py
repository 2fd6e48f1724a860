"""composer and bundler, with registries of own packages behind VCR_MIRRORS.

What they ask is locked once, and replayed to the same layer when the registries are gone. In an
emulated machine, each takes minutes.
"""

import gzip
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from again import assert_same_again
from services import site_of
from test_run import run_drv

CHOSEN = os.environ.get("VCR_TEST_CLIENTS", "")
pytestmark = [
    pytest.mark.nix,
    pytest.mark.vm,
    pytest.mark.limit(1800),
    pytest.mark.skipif(not CHOSEN, reason="needs VCR_TEST_CLIENTS=all or names: minutes for each"),
]

MINIMUM = ("dash", "coreutils", "base-passwd", "base-files")
REFERENCE = "1f2e3d4c5b6a79880716253443526170fedcba98"  # a commit
ZIP_EPOCH = (2024, 1, 2, 3, 4, 6)
AUTOLOAD = {"psr-4": {"Acme\\": "src"}}
EPOCH = 1_700_000_000
type Answer = tuple[int, dict[str, str], bytes]  # status, headers, body
type Answers = dict[tuple[str, str], Answer]
MISSING: Answer = (404, {}, b"not found\n")


class Site(BaseHTTPRequestHandler):
    """Answers by method and path; a path begins with the host that was asked."""

    protocol_version = "HTTP/1.1"
    answers: Answers
    asked: list[str]

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer("POST")

    def _answer(self, method: str) -> None:
        self.asked.append(f"{method} {self.path}")
        status, headers, body = self.answers.get((method, self.path), MISSING)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def php_package() -> bytes:
    """Return a package as GitHub packs it: in a directory named after its commit."""
    buffer = io.BytesIO()
    files = {
        "composer.json": json.dumps({"name": "acme/words", "autoload": AUTOLOAD}),
        "src/Words.php": "<?php namespace Acme; class Words { const SAID = 'composed'; }\n",
    }
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in files.items():
            info = zipfile.ZipInfo(f"acme-words-{REFERENCE[:7]}/{name}", ZIP_EPOCH)
            info.external_attr = 0o100644 << 16
            packed.writestr(info, text)
    return buffer.getvalue()


def packagist() -> Answers:
    """Return what Packagist and GitHub answer: getcomposer.org/doc/05-repositories.md."""
    kind = {"Content-Type": "application/json"}
    root = {
        "packages": [],
        "notify-batch": "https://packagist.org/downloads/",
        "metadata-url": "https://repo.packagist.org/p2/%package%.json",
        "security-advisories": {
            "metadata": False,
            "api-url": "https://packagist.org/api/security-advisories/",
        },
    }
    version = {
        "name": "acme/words",
        "version": "1.2.0",
        "version_normalized": "1.2.0.0",
        "type": "library",
        "dist": {
            "type": "zip",
            "url": f"https://api.github.com/repos/acme/words/zipball/{REFERENCE}",
            "reference": REFERENCE,
            "shasum": "",
        },
        "autoload": AUTOLOAD,
        "time": "2024-01-02T03:04:05+00:00",
    }
    metadata = {"packages": {"acme/words": [version]}, "minified": "composer/2.0"}
    elsewhere = f"https://codeload.github.com/acme/words/legacy.zip/{REFERENCE}"
    return {
        ("GET", "/repo.packagist.org/packages.json"): (200, kind, json.dumps(root).encode()),
        ("GET", "/repo.packagist.org/p2/acme/words.json"): (
            200, {**kind, "Last-Modified": "Tue, 02 Jan 2024 03:04:05 GMT"},
            json.dumps(metadata).encode(),
        ),
        ("GET", f"/api.github.com/repos/acme/words/zipball/{REFERENCE}"): (
            302, {"Location": elsewhere}, b""
        ),
        ("GET", f"/codeload.github.com/acme/words/legacy.zip/{REFERENCE}"): (
            200, {"Content-Type": "application/zip"}, php_package()
        ),
        ("POST", "/packagist.org/downloads/"): (201, kind, b'{"status":"success"}'),
        ("POST", "/packagist.org/api/security-advisories/"): (200, kind, b'{"advisories":{}}'),
    }  # fmt: skip


def packed(files: dict[str, bytes]) -> bytes:
    """Return a tar of FILES."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), EPOCH
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def ruby_package(name: str, library: str, needs: str = "") -> bytes:
    """Return a gem, version 1.0.0: a tar of its description and of its files."""
    needed = (
        "dependencies:\n- !ruby/object:Gem::Dependency\n"
        f"  name: {needs}\n  requirement: &1 !ruby/object:Gem::Requirement\n    requirements:\n"
        "    - - ~>\n      - !ruby/object:Gem::Version\n        version: '1.0'\n"
        "  type: :runtime\n  prerelease: false\n  version_requirements: *1\n"
    )
    about = (
        f"--- !ruby/object:Gem::Specification\nname: {name}\n"
        "version: !ruby/object:Gem::Version\n  version: 1.0.0\nplatform: ruby\nauthors:\n- me\n"
        f"date: 2024-01-02 00:00:00.000000000 Z\n{needed if needs else 'dependencies: []\n'}"
        f"email: me@example.test\nexecutables: []\nextensions: []\nfiles:\n- lib/{name}.rb\n"
        "homepage: https://example.test/\nlicenses:\n- MIT\nrequire_paths:\n- lib\n"
        f"rubygems_version: 3.3.15\nspecification_version: 4\nsummary: of a test\n"
    )
    return packed(
        {
            "metadata.gz": gzip.compress(about.encode(), mtime=0),
            "data.tar.gz": gzip.compress(packed({f"lib/{name}.rb": library.encode()}), mtime=0),
        }
    )


def rubygems() -> Answers:
    """Return what RubyGems answers: guides.rubygems.org/rubygems-org-compact-index-api."""
    gems = {
        "greets": (ruby_package("greets", "require 'words'\n", "words"), " words:~> 1.0"),
        "words": (ruby_package("words", "SAID = 'bundled'\n"), " "),
    }
    answers: Answers = {}
    versions = "created_at: 2024-01-02T03:04:05Z\n---\n"
    for name, (content, needs) in gems.items():
        info = f"---\n1.0.0{needs}|checksum:{hashlib.sha256(content).hexdigest()}\n"
        answers["GET", f"/index.rubygems.org/info/{name}"] = plain(info)
        answers["GET", f"/rubygems.org/gems/{name}-1.0.0.gem"] = (
            200, {"Content-Type": "application/octet-stream"}, content
        )  # fmt: skip
        versions += f"{name} 1.0.0 {hashlib.md5(info.encode()).hexdigest()}\n"  # noqa: S324
    answers["GET", "/index.rubygems.org/versions"] = plain(versions)
    return answers


def plain(text: str) -> Answer:
    """Return an answer that TEXT is, with the tag that RubyGems gives it."""
    tag = hashlib.md5(text.encode()).hexdigest()  # noqa: S324 -- as the registry does
    return 200, {"Content-Type": "text/plain; charset=utf-8", "ETag": f'"{tag}"'}, text.encode()


@dataclass(frozen=True)
class Client:
    """A client, its project, and what it asks for at least."""

    name: str
    answers: Answers
    packages: tuple[str, ...]  # of Debian
    files: dict[str, str]
    steps: tuple[str, ...]
    said: str  # what the last step writes into /said
    configure: bool = False


CLIENTS = (
    Client(
        "composer",
        packagist(),
        ("composer", "php-cli", "php-mbstring", "unzip"),
        {
            "composer.json": '{"require": {"acme/words": "^1.0"}}\n',
            "say.php": "<?php require '/src/vendor/autoload.php'; echo Acme\\Words::SAID;\n",
        },
        (
            "cd /src && composer install -n --no-progress && composer audit -n",
            "php /src/say.php > /said",
        ),
        "composed",
        configure=True,  # PHP has its extensions when the scripts of their packages have run
    ),
    Client(
        "bundler",
        rubygems(),
        ("ruby", "bundler"),
        {"Gemfile": 'source "https://rubygems.org"\ngem "greets", "~> 1.0"\n'},
        (
            "cd /src && bundle install",
            "cd /src && bundle exec ruby -r bundler/setup -r greets -e 'print SAID' > /said",
        ),
        "bundled",
    ),
)


@pytest.fixture
def site() -> Iterator[str]:
    Site.asked = []
    with site_of(Site) as url:
        yield url


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_is_recorded_and_replayed(
    vcr: Any, tmp_path: Path, site: str, client: Client
) -> None:
    if CHOSEN != "all" and client.name not in CHOSEN.split(","):
        pytest.skip(f"needs VCR_TEST_CLIENTS with {client.name}")
    project, source = tmp_path / "app", tmp_path / "app/src"
    source.mkdir(parents=True)
    for name, text in client.files.items():
        (source / name).write_text(text)
    packages = json.dumps([*client.packages, *MINIMUM])
    configure = json.dumps(client.configure)
    (project / "vcr.toml").write_text(
        f"[base.tools]\npackages = {packages}\nconfigure = {configure}\n"
    )
    steps = "".join(f"RUN {step}\n" for step in client.steps)
    (project / "Dockerfile").write_text(f"FROM tools\nCOPY src /src\n{steps}")
    Site.answers = client.answers
    hosts = {path.split("/")[1] for _, path in client.answers}
    vcr.env["VCR_MIRRORS"] = " ".join(f"https://{host}/={site}/{host}/" for host in hosts)
    vcr("lock", project)
    asked = set(Site.asked)
    assert {f"{method} {path}" for method, path in client.answers} <= asked
    lock = (project / "vcr.lock").read_text()

    # Locked anew it is the same lock; then the registry is gone, and nobody asks for it.
    (project / "vcr.lock").unlink()
    vcr("lock", project)
    assert (project / "vcr.lock").read_text() == lock
    Site.answers = {}
    Site.asked.clear()
    built = vcr.json("build", "image", project)
    assert Site.asked == []
    manifest = Path(built["ladder"][0]["path"])
    last = json.loads(manifest.read_text())["layers"][-1]
    with tarfile.open(manifest.parent / last["digest"].partition(":")[2]) as layer:
        assert layer.extractfile("said").read() == client.said.encode()  # type: ignore[union-attr]
    for number in range(len(client.steps)):
        assert_same_again([run_drv(project, f"0.{number + 2}.run")])
