"""Binary caches: keys, addresses, what Nix is told and says."""

import json
from pathlib import Path

import pytest

from vcr import process
from vcr.errors import HostError, MismatchError, UsageError, VcrError
from vcr.settings import Settings
from vcr.tools.binary_cache import BinaryCache, SigningKey
from vcr.tools.nix import Nix
from vcr.tools.nix_failure import build_failure
from vcr.tools.nix_log import Lines, NixLog
from vcr.tools.nix_store import info_rows
from vcr.verify.rebuild import _without_caches

SIGNED = (("a", "team-1"), ("b", "other"))
SECRET = "team-1:" + "A" * 86 + "==\n"


def settings(tmp_path: Path, **more: str) -> Settings:
    return Settings.load({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/tmp/r", **more})


# --- keys and addresses


def test_a_key_is_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(UsageError, match="cannot read the key"):
        SigningKey.load(path)
    path.write_text(SECRET)
    path.chmod(0o600)
    assert SigningKey.load(path) == SigningKey(path, "team-1")
    for mode in (0o640, 0o604, 0o644):
        path.chmod(mode)
        with pytest.raises(HostError, match="others can read the key") as caught:
            SigningKey.load(path)
        assert "chmod 600" in caught.value.fix
    path.chmod(0o600)
    for text in ("", "team-1", "team 1:AAAA", "-----BEGIN PRIVATE KEY-----\n"):
        path.write_text(text)
        with pytest.raises(UsageError, match="not a signing key"):
            SigningKey.load(path)


def test_a_cache_is_a_directory_or_a_url(tmp_path: Path) -> None:
    nix = Nix(settings(tmp_path))
    assert BinaryCache.at("/srv/cache", nix).url == "file:///srv/cache"
    assert BinaryCache.at("https://example.org/c", nix).url == "https://example.org/c"
    assert BinaryCache.at("s3://bucket?region=x", nix).url == "s3://bucket?region=x"
    for text in ("ssh://host", "https://example.org/?secret-key=/k"):
        with pytest.raises(UsageError, match="not a binary cache"):
            BinaryCache.at(text, nix)


def test_what_nix_is_told_to_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    rows = [{"path": f"/nix/store/{n}", "signatures": [f"{k}:x"]} for n, k in SIGNED]
    answers = {"path-info": json.dumps(rows)}

    def run(argv: list[object], **_: object) -> process.Result:
        words = [str(word) for word in argv]
        seen.append(words)
        out = "/nix/store/a\n/nix/store/b" if "--requisites" in words else answers.get(words[1], "")
        return process.Result(tuple(words), 0, out.encode(), "")

    monkeypatch.setattr(process, "run", run)
    cache = BinaryCache.at("s3://bucket?region=x", Nix(settings(tmp_path)))
    key = SigningKey(Path("/k/my key"), "team-1")
    with pytest.raises(VcrError, match="1 path that team-1 did not sign"):
        cache.push([Path("/nix/store/a")], key)
    query = "region=x&compression=zstd&secret-key=/k/my%20key"
    assert seen[0] == ["nix", "copy", "--to", f"s3://bucket?{query}", "/nix/store/a"]


def test_both_forms_of_path_info_are_read() -> None:
    old = [{"path": "/a", "signatures": ["k:x"]}, {"path": "/b", "valid": False}]
    new = {"/a": {"signatures": ["k:x"]}, "/b": None}
    assert (
        [path for path, _ in info_rows(old)] == [path for path, _ in info_rows(new)] == [Path("/a")]
    )


# --- settings


def test_caches_come_from_the_users_settings_alone(tmp_path: Path) -> None:
    caches = {"VCR_SUBSTITUTERS": "file:///a\n https://b", "VCR_TRUSTED_KEYS": "k-1:AA== l:BB=="}
    config = Nix(settings(tmp_path, **caches)).env()["NIX_CONFIG"].splitlines()
    assert "extra-substituters = file:///a https://b" in config
    assert "extra-trusted-public-keys = k-1:AA== l:BB==" in config
    assert "require-sigs = true" in config
    plain = Nix(settings(tmp_path)).env()["NIX_CONFIG"]
    assert "substituters" not in plain
    assert "trusted" not in plain


def test_who_verifies_takes_nothing_from_caches(tmp_path: Path) -> None:
    alone = _without_caches(settings(tmp_path, VCR_SUBSTITUTERS="file:///a"))
    config = Nix(alone).env()["NIX_CONFIG"]
    assert "substituters =\n" in config
    assert "file:///a" not in config


# --- what Nix says


def event(**fields: object) -> str:
    return "@nix " + json.dumps(fields)


def test_a_copy_and_a_refusal_are_noted() -> None:
    shown: list[str] = []
    log = NixLog(Lines(shown.append))
    path, url = f"/nix/store/{'a' * 32}-vcr-image-x", "https://cache"
    log.feed(event(action="start", id=1, type=108, fields=[path, url]))
    assert log.copied == {path: url}
    text = f"warning: the substitute for '{path}' is not signed by any of the keys in 'x'"
    log.feed(event(action="msg", level=1, msg=text))
    assert shown == ["copying vcr-image-x from https://cache", text.removeprefix("warning: ")]
    assert len(log.refused) == 1


@pytest.mark.parametrize(
    ("level", "text", "words"),
    [
        (0, "error: hash mismatch importing path '/nix/store/x'", "gave other bytes"),
        (1, "the substitute for 'x' is not signed by any of the keys in", "no trusted signature"),
    ],
)  # fmt: skip
def test_a_cache_that_is_to_blame_is_a_mismatch(level: int, text: str, words: str) -> None:
    log = NixLog(Lines(lambda _: None))
    log.feed(event(action="msg", level=level, msg=text))
    error = build_failure(process.Result(("nix",), 1, b"", ""), log)
    assert isinstance(error, MismatchError)
    assert words in error.what
