"""A second host with an empty store takes what was built from a signed cache, and nothing else."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from services import file_server

pytestmark = pytest.mark.nix

REPO = Path(__file__).resolve().parents[2]
STATIC = REPO / "examples" / "static"
# Another /nix for one command only; the host's Nix is not below it.
SECOND = 'mount --bind "$1" /nix && shift && exec "$@"'


@pytest.fixture
def key(tmp_path: Path) -> Path:
    secret = tmp_path / "key"
    make: list[str | Path] = [
        "nix-store",
        "--generate-binary-cache-key",
        "team-1",
        secret,
        tmp_path / "key.pub",
    ]
    subprocess.run(make, check=True)
    assert secret.stat().st_mode & 0o077 == 0
    return secret


class SecondHost:
    """Runs bin/vcr with a store, a cache and a state of its own."""

    def __init__(self, directory: Path, url: str, trusted: str) -> None:
        self.store = directory / "nix"
        self.store.mkdir(parents=True)
        home = directory / "home"
        home.mkdir()
        keep = {name: os.environ[name] for name in ("PATH", "TERM") if name in os.environ}
        self.env = {
            **keep,
            "HOME": str(home),
            "VCR_SUBSTITUTERS": url,
            "VCR_TRUSTED_KEYS": trusted,
        }

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        argv: list[str | Path] = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            SECOND,
            "sh",
            self.store,
            REPO / "bin/vcr",
            *words,
        ]
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False)


def needs_second_store() -> None:
    tried = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SECOND, "sh", "/tmp", "true"],
        capture_output=True, check=False,
    )  # fmt: skip
    nix = Path(str(shutil.which("nix"))).resolve()
    if tried.returncode or nix.is_relative_to("/nix"):
        pytest.skip("needs the right to mount, and a Nix that is not in /nix")


def narinfo(cache: Path, output: str) -> Path:
    return cache / f"{Path(output).name[:32]}.narinfo"


def test_a_second_host_builds_nothing(vcr: Any, key: Path, tmp_path: Path) -> None:
    needs_second_store()
    cache = tmp_path / "cache"
    words = ("--profile", "vm", "--key", key)
    pushed = vcr.json("cache", "push", cache, STATIC, *words, "--toolchain")
    assert pushed["key"] == (tmp_path / "key.pub").read_text()
    built = vcr.json("build", STATIC)
    image = next(row["path"] for row in built["stages"] if row["name"] == "image")
    with file_server(cache) as url:
        second = SecondHost(tmp_path / "second", url, pushed["key"])
        done = second.run("--json", "build", STATIC)
        assert done.returncode == 0, done.stderr
        ladder = [(r["name"], r["digest"]) for r in json.loads(done.stdout)["ladder"]]
        assert ladder == [(r["name"], r["digest"]) for r in built["ladder"]]
        for stage in ("image", "rootfs", "squashfs", "kernel"):
            assert any(
                line.startswith(stage) and line.endswith(f"from {url}")
                for line in done.stderr.splitlines()
            ), done.stderr
        assert "building" not in done.stderr
        assert list((second.store / "store").glob("*.deb")) == []
        refuse_what_was_changed(tmp_path, cache, url, pushed["key"], narinfo(cache, image))


def refuse_what_was_changed(
    tmp_path: Path, cache: Path, url: str, trusted: str, info: Path
) -> None:
    """Change the image where the cache keeps it, then what the cache says of it."""
    text = info.read_text()
    nar = cache / dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)["URL"]
    good = nar.read_bytes()
    small = (path for path in (cache / "nar").iterdir() if path.stat().st_size < 4096)
    other = next(path for path in small if path != nar)  # an image is small, too: it has links
    nar.write_bytes(other.read_bytes())
    done = SecondHost(tmp_path / "third", url, trusted).run("build", "image", STATIC)
    assert done.returncode == 3, done.stderr
    assert "error: a binary cache gave other bytes than it announced" in done.stderr
    nar.write_bytes(good)
    # A hash in Nix's base 32 has 52 digits; another last one is another hash.
    info.write_text(re.sub(r"(NarHash: sha256:\w{51})(\w)", swapped, text))
    unsigned(SecondHost(tmp_path / "fourth", url, trusted))
    info.write_text(text)
    stranger = "team-1:" + "A" * 43 + "="
    told = SecondHost(tmp_path / "fifth", url, stranger).run("build", "image", STATIC).stderr
    assert "is not signed by any of the keys" in told


def swapped(found: re.Match[str]) -> str:
    return found[1] + ("0" if found[2] != "0" else "1")


def unsigned(host: SecondHost) -> None:
    """Whose signature is not good is not taken: it is built here, or not at all."""
    done = host.run("build", "image", STATIC)
    assert "not signed by any of the keys" in done.stderr
    if done.returncode == 0:  # this host can fetch what the image is built from
        assert "warning: the substitute for" in done.stderr
    else:
        assert done.returncode == 3, done.stderr
        assert "error: a binary cache has no trusted signature" in done.stderr


def test_a_cache_over_http_is_pushed_to_and_asked(vcr: Any, key: Path, tmp_path: Path) -> None:
    with file_server(tmp_path / "cache") as url:
        words = ("--profile", "vm", "--key", key)
        pushed = vcr.json("cache", "push", url, STATIC, *words)
        vcr.env.update(
            VCR_SUBSTITUTERS=f"{url} http://127.0.0.1:9/none", VCR_TRUSTED_KEYS=pushed["key"]
        )
        done = vcr("--json", "cache", "info", STATIC, "--profile", "vm")
        assert "http://127.0.0.1:9/none does not answer" in done.stderr
        for row in json.loads(done.stdout)["stages"]:
            assert row["here"] is True
            assert row["caches"] == {url: "yes", "http://127.0.0.1:9/none": "no answer"}
        vcr.env["VCR_TRUSTED_KEYS"] = "other-1:" + "A" * 43 + "="
        assert "not by a trusted key" in vcr("cache", "info", STATIC, "--profile", "vm").stdout


def test_what_somebody_else_put_there_is_not_vouched_for(
    vcr: Any, key: Path, tmp_path: Path
) -> None:
    built = vcr.json("build", STATIC)
    paths = [row["path"] for row in built["stages"]]
    cache = tmp_path / "cache"
    subprocess.run(["nix", "copy", "--to", f"file://{cache}?compression=none", *paths], check=True)
    words = ("cache", "push", cache, STATIC, "--profile", "vm", "--key", key)
    assert "that team-1 did not sign" in vcr(*words, code=1).stderr
    key.chmod(0o644)
    assert "others can read the key" in vcr(*words, code=5).stderr
    assert "cannot push to" in push_to_a_file(vcr, key, tmp_path)


def push_to_a_file(vcr: Any, key: Path, tmp_path: Path) -> str:
    key.chmod(0o600)
    (tmp_path / "file").touch()
    words = ("cache", "push", tmp_path / "file", STATIC, "--profile", "vm", "--key", key)
    return str(vcr(*words, code=5).stderr)
