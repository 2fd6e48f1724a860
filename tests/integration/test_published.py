"""Statements beside an image, in a real registry: pushed, found by its digest, and demanded."""

import base64
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from exports import make_built, state_of
from services import password_registry, registry_server, tool, toolset
from transparency_log import Log, body_of, bundle_with

from vcr.attest.bundle import MEDIA_TYPE, envelope_of, to_bundle
from vcr.attest.dsse import sign
from vcr.attest.keys import public_pem
from vcr.attest.predicates import BUILD_TYPE, BUILDER, TYPES
from vcr.attest.statement import Statement, subjects_of
from vcr.attest.terms import terms_of
from vcr.errors import FetchError, MismatchError, VcrError
from vcr.export.artifact import ARTIFACT, TITLE
from vcr.export.distribution import _permit
from vcr.export.reference import Reference
from vcr.export.referrers import MAX_PAGES, attach, list_referrers
from vcr.export.write import write_export
from vcr.formats.oci import INDEX, MANIFEST, Descriptor
from vcr.tools.skopeo import Skopeo
from vcr.verify.ladders import read_claim

pytestmark = pytest.mark.nix

KEYS = {
    name: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    for number, name in enumerate(("alice", "bob", "mallory"), 1)
}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published")
    write_export(make_built(root / "store"), root / "export")
    return root / "export"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry_server(tmp_path_factory.mktemp("registry") / "files") as address:
        yield address


@pytest.fixture
def skopeo() -> Skopeo:
    return Skopeo(tool("oci", "skopeo"))


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / f"{name}.pub" for name in KEYS}
    for name, path in found.items():
        path.write_bytes(public_pem(KEYS[name].public_key()))
    return found


def stated(export: Path, signer: str, target: Path, **subjects: Any) -> Path:
    """Write what SIGNER says of the EXPORT, or of other SUBJECTS, to TARGET."""
    claim = read_claim(export / "ladder.json")
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": dict(terms_of(claim)),
            "resolvedDependencies": [{"name": "vcr.lock"}],
        },
        "runDetails": {"builder": {"id": BUILDER}},
    }
    rungs = {**subjects_of(claim.ladder), **subjects}
    told = Statement(rungs, TYPES["provenance"], predicate)
    target.write_bytes(sign(told.to_bytes(), [KEYS[signer]]).to_bytes())
    return target


def raw(address: str, path: str) -> Any:
    accept = {"Accept": f"{INDEX}, {MANIFEST}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"http://{address}/v2/{path}", headers=accept)
    ) as answer:
        return json.loads(answer.read())


def image_of(address: str, name: str) -> dict[str, Any]:
    image, _ = raw(address, f"{name}/manifests/1")["manifests"]
    return dict(image)


def listed(address: str, name: str) -> list[dict[str, Any]]:
    """Return what refers to the image of NAME, as a client without vcr finds it."""
    tag = image_of(address, name)["digest"].replace(":", "-")
    return list(raw(address, f"{name}/manifests/{tag}")["manifests"])


def test_a_release_is_found_by_its_image_and_taken_whole(
    vcr: Any, registry: str, export: Path, tmp_path: Path
) -> None:
    """As oras does: by the tag of referrers, then each layer to the path that is its title."""
    vcr("push", f"{registry}/whole/app:1", "--export", export)
    (row,) = listed(registry, "whole/app")
    assert row["artifactType"] == ARTIFACT
    layers = raw(registry, f"whole/app/manifests/{row['digest']}")["layers"]
    kinds = {layer["mediaType"] for layer in layers}
    assert {INDEX, MANIFEST} & kinds == set()  # registries keep those apart from blobs
    for layer in layers:
        path = tmp_path / "taken" / layer["annotations"][TITLE]
        path.parent.mkdir(parents=True, exist_ok=True)
        urllib.request.urlretrieve(f"http://{registry}/v2/whole/app/blobs/{layer['digest']}", path)
    assert contents(tmp_path / "taken") == contents(export)
    script = ["sh", str(tmp_path / "taken/verify.sh")]
    env = {"PATH": f"{toolset('build')}/usr/sbin:{os.environ['PATH']}"}
    done = subprocess.run(script, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def contents(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_statements_are_found_by_the_image(
    vcr: Any, registry: str, export: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    reference = f"{registry}/said/app:1"
    vcr("push", reference, "--export", export)
    words = ("attest", "verify", reference, "--key", keys["alice"])
    assert "0 statements refer to its image" in vcr(*words, code=3).stderr
    said = stated(export, "alice", tmp_path / "alice.json")
    (pushed,) = vcr.json("attest", "push", reference, said)["statements"]
    assert pushed["image"] == image_of(registry, "said/app")["digest"]
    told = vcr.json(*words)
    assert [row["predicate"] for row in told["statements"]] == ["provenance"]
    assert told["statements"][0]["file"] == f"{registry}/said/app@{pushed['digest']}"
    by_digest = f"{registry}/said/app@{pushed['image']}"
    assert vcr.json("attest", "verify", by_digest, "--key", keys["alice"])["holds"]
    # The same again is there once; what others have listed stays.
    assert vcr.json("attest", "push", reference, said)["statements"] == [pushed]
    kinds = [row["artifactType"] for row in listed(registry, "said/app")]
    assert kinds == [ARTIFACT, MEDIA_TYPE]
    # What anybody who may push puts beside it neither counts nor disturbs.
    vcr("attest", "push", reference, stated(export, "mallory", tmp_path / "mallory.json"))
    assert vcr.json(*words) == told
    two = (*words, "--key", keys["bob"], "--threshold", "2")
    assert "rejected at the threshold" in vcr(*two, code=3).stderr
    bob = stated(export, "bob", tmp_path / "bob.json")
    assert vcr.json("attest", "verify", bob, *two[2:])["holds"]  # from a file, as well
    assert vcr(*words, "--ladder", export / "ladder.json").stdout


def test_statements_of_other_types_do_not_disturb(
    vcr: Any, registry: str, export: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    """Such as VEX, or a summary that `attest verify --vsa` wrote, of the same key."""
    reference = f"{registry}/other/types:1"
    vcr("push", reference, "--export", export)
    words = ("attest", "verify", reference, "--key", keys["alice"])
    rungs = subjects_of(read_claim(export / "ladder.json").ladder)
    vex = Statement(rungs, "https://openvex.dev/ns/v0.2.0", {"statements": []})
    said = tmp_path / "vex.json"
    said.write_bytes(sign(vex.to_bytes(), [KEYS["alice"]]).to_bytes())
    vcr("attest", "push", reference, said)
    alone = vcr(*words, code=3).stderr
    assert "the type 'https://openvex.dev/ns/v0.2.0' is not known" in alone
    vcr("attest", "push", reference, stated(export, "alice", tmp_path / "alice.json"))
    assert [row["predicate"] for row in vcr.json(*words)["statements"]] == ["provenance"]
    assert "is not known" in vcr("attest", "verify", said, *words[3:], code=3).stderr


def test_a_pull_demands_statements(
    vcr: Any, registry: str, export: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    reference, target = f"{registry}/pulled/app:1", tmp_path / "out"
    (tmp_path / "wrong.toml").write_text("thershold = 2")
    vcr("pull", f"{registry}/none:1", target, "--policy", tmp_path / "wrong.toml", code=2)
    vcr("push", reference, "--export", export)
    policy = tmp_path / "policy.toml"
    policy.write_text(f'threshold = 2\n[keys]\na = "{keys["alice"].name}"\n'
                      f'b = "{keys["bob"].name}"\n')  # fmt: skip
    for signer in ("mallory", "alice"):
        vcr("pull", reference, target, "--policy", policy, code=3)
        vcr("attest", "push", reference, stated(export, signer, tmp_path / f"{signer}.json"))
        assert not target.exists()
    vcr("pull", reference, tmp_path / "by alice", "--key", keys["alice"])
    vcr("pull", reference, target, "--policy", policy, code=3)
    vcr("attest", "push", reference, stated(export, "bob", tmp_path / "bob.json"))
    vcr("pull", reference, target, "--policy", policy)
    assert state_of(target) == state_of(export)


def test_a_statement_about_another_image_is_not_pushed(
    vcr: Any, registry: str, export: Path, tmp_path: Path
) -> None:
    vcr("push", f"{registry}/other/app:1", "--export", export)
    other = {"image": read_claim(export / "ladder.json").ladder[1].digest}
    said = stated(export, "alice", tmp_path / "said.json", **other)
    done = vcr("attest", "push", f"{registry}/other/app:1", said, code=3)
    assert "is about another image than" in done.stderr
    (tmp_path / "no.json").write_text("{}")
    vcr("attest", "push", f"{registry}/other/app:1", tmp_path / "no.json", code=3)
    assert len(listed(registry, "other/app")) == 1


def test_a_bundle_that_was_changed_does_not_count(
    vcr: Any, skopeo: Skopeo, registry: str, export: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    reference = Reference.parse(f"{registry}/changed/app:1")
    vcr("push", reference.text, "--export", export)
    row = image_of(registry, "changed/app")
    subject = Descriptor(row["mediaType"], row["digest"], row["size"])
    said = stated(export, "alice", tmp_path / "alice.json").read_bytes()
    told = json.loads(said)
    for wrong in (
        said.replace(b"vnd.in-toto", b"vnd.in-tutu"),
        json.dumps({**told, "payload": told["payload"][:-8] + "AAAAAAAA"}).encode(),
        b"\x00" * 100,
        b"",
        b"[" * 100_000,
    ):
        attach(skopeo, reference, subject, wrong, MEDIA_TYPE, {})
    done = vcr("attest", "verify", reference.text, "--key", keys["alice"], code=3)
    assert "a trusted key signed none" in done.stderr


def test_a_statement_in_a_log_is_found_and_one_beside_it_is_left_out(
    vcr: Any, skopeo: Skopeo, registry: str, export: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    reference = Reference.parse(f"{registry}/logged/app:1")
    vcr("push", reference.text, "--export", export)
    words = ("attest", "verify", reference.text, "--key", keys["alice"])
    log = Log(ec.derive_private_key(7, ec.SECP256R1()))
    (tmp_path / "log.pub").write_bytes(public_pem(log.key.public_key()))
    logged = ("--log-key", tmp_path / "log.pub")
    envelope = envelope_of(stated(export, "alice", tmp_path / "alice.json").read_bytes())
    row = log.add(body_of("dsse", "0.0.1", envelope, KEYS["alice"].public_key()), "dsse", "0.0.1")
    # Whoever may push takes the entry away, or gives it to another; that neither counts nor harms.
    image = image_of(registry, "logged/app")
    subject = Descriptor(image["mediaType"], image["digest"], image["size"])
    for data in (bundle_with(envelope), bundle_with(envelope, {**row, "logIndex": "1"})):
        attach(skopeo, reference, subject, data, MEDIA_TYPE, {})
    done = vcr(*words, *logged, code=3)
    assert "rejected at the transparency log" in done.stderr
    told = vcr.json(*words)["statements"]  # without a key of the log, both hold unchecked
    assert sorted(each["unchecked_entries"] for each in told) == [0, 1]
    (tmp_path / "bundle.json").write_bytes(bundle_with(envelope, row))
    vcr("attest", "push", reference.text, tmp_path / "bundle.json")
    (told,) = vcr.json(*words, *logged)["statements"]
    assert [each["index"] for each in told["logs"]] == [5]
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f'[keys]\na = "{keys["alice"]}"\n[log]\nkeys = {{ l = "{tmp_path / "log.pub"}" }}\n'
    )
    vcr("pull", reference.text, tmp_path / "out", "--policy", policy)
    assert state_of(tmp_path / "out") == state_of(export)


def test_ci_pushes_the_statements_that_satisfy_the_policy(
    vcr: Any, repo: Path, registry: str, export: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    policy, reference = tmp_path / "policy.toml", f"{registry}/ci/app:1"
    policy.write_text(f'[keys]\na = "{keys["alice"].name}"\n')
    argv = [str(repo / "ci/release"), "publish", str(export), reference, str(policy)]
    for signer, code in (("mallory", 3), ("alice", 0)):
        said = stated(export, signer, tmp_path / f"{signer}.json")
        done = subprocess.run(
            [*argv, str(said)], env=vcr.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
    vcr("pull", reference, tmp_path / "pulled", "--policy", policy)


def test_images_of_an_index_are_listed(
    vcr: Any, registry: str, export: Path, keys: dict[str, Path]
) -> None:
    vcr("push", f"{registry}/many/app:1", "--export", export)
    rows = [image_of(registry, "many/app"), image_of(registry, "many/app")]
    rows[1]["platform"] = {"os": "linux", "architecture": "arm64"}
    data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}).encode()
    urllib.request.urlopen(
        urllib.request.Request(
            f"http://{registry}/v2/many/app/manifests/many",
            data,
            {"Content-Type": INDEX},
            method="PUT",
        )
    ).close()
    done = vcr("attest", "verify", f"{registry}/many/app:many", "--key", keys["alice"], code=2)
    assert f"{rows[0]['digest']} (linux/riscv64), {rows[1]['digest']} (linux/arm64)" in done.stderr


def test_a_registry_that_wants_a_password(
    vcr: Any, repo: Path, export: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    with password_registry(tmp_path / "files") as address:
        vcr.env["REGISTRY_AUTH_FILE"] = str(tmp_path / "auth.json")
        skopeo = str(tool("oci", "skopeo"))
        login = [skopeo, "login", "--tls-verify=false", "-u", "user"]
        subprocess.run(
            [*login, "--password-stdin", address],
            input="secret", text=True, env=vcr.env, check=True, capture_output=True,
        )  # fmt: skip
        vcr("push", f"{address}/team/app:1", "--export", export)
        said = stated(export, "alice", tmp_path / "alice.json")
        vcr("attest", "push", f"{address}/team/app:1", said)
        vcr("attest", "verify", f"{address}/team/app:1", "--key", keys["alice"])
        # CI has the login in a variable, and no file.
        auth = (tmp_path / "auth.json").read_text()
        vcr.env["REGISTRY_AUTH_FILE"] = str(tmp_path / "none.json")
        (tmp_path / "policy.toml").write_text(f'[keys]\na = "{keys["alice"].name}"\n')
        argv = [str(repo / "ci/release"), "publish", str(export), f"{address}/team/app:2"]
        done = subprocess.run(
            [*argv, str(tmp_path / "policy.toml"), str(said)],
            env={**vcr.env, "REGISTRY_AUTH": auth},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        done = vcr("attest", "verify", f"{address}/team/app:1", "--key", keys["alice"], code=5)
        assert f"skopeo login {address}" in done.stderr


@pytest.mark.skipif(shutil.which("cosign") is None, reason="needs cosign")
def test_cosign_believes_it_and_is_believed(
    vcr: Any, registry: str, export: Path, keys: dict[str, Path], tmp_path: Path
) -> None:
    reference = f"{registry}/cosign/app:1"
    vcr("push", reference, "--export", export)
    said = stated(export, "alice", tmp_path / "alice.json")
    vcr("attest", "push", reference, said)
    image = f"{registry}/cosign/app@{image_of(registry, 'cosign/app')['digest']}"

    def cosign(*words: str | Path) -> int:
        env = {**os.environ, "COSIGN_PASSWORD": "", "HOME": str(tmp_path)}
        argv = ["cosign", *map(str, words)]
        done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, check=False)
        return done.returncode

    check = ("verify-attestation", "--type", "slsaprovenance1", "--insecure-ignore-tlog",
             "--allow-http-registry", image, "--key")  # fmt: skip
    assert cosign(*check, keys["alice"]) == 0
    assert cosign(*check, keys["bob"]) != 0
    statement = tmp_path / "statement.json"
    statement.write_bytes(base64.b64decode(json.loads(said.read_bytes())["payload"]))
    assert cosign("generate-key-pair") == 0
    alone = ("--tlog-upload=false", "--use-signing-config=false", "-y")
    files = ("--statement", statement, "--bundle", "theirs.json")
    assert cosign("attest-blob", "--key", "cosign.key", *alone, *files) == 0
    vcr("attest", "push", reference, tmp_path / "theirs.json")
    both = ("--key", keys["alice"], "--key", tmp_path / "cosign.pub", "--threshold", "2")
    assert len(vcr.json("attest", "verify", reference, *both)["statements"]) == 2


# --- a registry with the API of referrers: docker-registry has none, so Python plays it


@contextmanager
def api(
    pages: list[tuple[int, str, bytes, str]], *, wants_token: bool = False
) -> Iterator[Reference]:
    """Answer with PAGES of (status, type, body, link), one after the other; the last stays."""

    class Handler(http.server.BaseHTTPRequestHandler):
        count = 0

        def do_GET(self) -> None:
            if self.path.startswith("/token"):
                said = self.headers.get("Authorization", "")
                assert self.path == "/token?service=s&scope=repository%3Ateam%2Fapp%3Apull"
                body = json.dumps({"token": TOKEN if not said else "wrong"}).encode()
                self.answer(200, "application/json", body, "")
            elif wants_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.send_response(401)
                realm = f'realm="http://{self.headers["Host"]}/token",service="s"'
                scope = 'scope="repository:team/app:pull"'
                self.send_header("WWW-Authenticate", f"Bearer {realm},{scope}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                page = pages[min(Handler.count, len(pages) - 1)]
                Handler.count += 1
                self.answer(*page)

        def answer(self, status: int, kind: str, body: bytes, link: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if link:
                self.send_header("Link", link)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Reference.parse(f"127.0.0.1:{server.server_port}/team/app:1")
        finally:
            server.shutdown()


TOKEN = "for-once"  # noqa: S105 -- the test's own
DIGEST = "sha256:" + "a" * 64


def test_a_registry_does_not_lead_to_a_service_of_this_host() -> None:
    """As https, which a password may be sent over; the name is not of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        challenge = f'Bearer realm="https://127.0.0.1:{port}/token",service="s"'
        with pytest.raises(FetchError):
            _permit(challenge, Reference.parse("registry.example.org/team/app:1"), "")
        service.settimeout(0)
        with pytest.raises(BlockingIOError):
            service.accept()
    for realm in ("http://registry.example.org/token", "file:///etc/passwd", ""):
        challenge = f'Bearer realm="{realm}",service="s"'
        assert _permit(challenge, Reference.parse("registry.example.org/team/app:1"), "x") == ""


def page(*digits: str, **changes: Any) -> bytes:
    row = {"mediaType": MANIFEST, "size": 7, "artifactType": "x/y"}
    rows = [{**row, "digest": "sha256:" + digit * 64, **changes} for digit in digits]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}).encode()


def test_the_list_of_a_registry_is_read_to_its_end(skopeo: Skopeo) -> None:
    link = f'</v2/team/app/referrers/{DIGEST}?page=2>; rel="next"'
    pages = [(200, INDEX, page("1", "2"), link), (200, f"{INDEX}; charset=utf-8", page("3"), "")]
    with api(pages, wants_token=True) as reference:
        found = list_referrers(skopeo, reference, DIGEST)
    assert [artifact.descriptor.digest[7] for artifact in found] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("pages", "kind"),
    [
        (
            [(200, INDEX, page("1"), f'</v2/team/app/referrers/{DIGEST}?p=1>; rel="next"')],
            FetchError,
        ),
        ([(200, INDEX, b"[]", "")], MismatchError),
        ([(200, INDEX, b"[" * 100_000, "")], MismatchError),
        ([(200, INDEX, page("1", size=-1), "")], MismatchError),
        ([(200, INDEX, page("1", size="7"), "")], MismatchError),
        ([(200, INDEX, page("1", digest="sha256:../../x"), "")], MismatchError),
        ([(200, INDEX, page("1", annotations=["x"]), "")], MismatchError),
        ([(200, INDEX, b"x" * (5 << 20), "")], FetchError),
    ],
    ids=range(8),
)
def test_a_list_that_a_registry_should_not_give(
    skopeo: Skopeo, pages: list[tuple[int, str, bytes, str]], kind: type[VcrError]
) -> None:
    assert MAX_PAGES < 100
    with api(pages) as reference, pytest.raises(kind):
        list_referrers(skopeo, reference, DIGEST)


def test_a_bundle_has_one_signature(export: Path, tmp_path: Path) -> None:
    """The format has no place for a second one."""
    claim = read_claim(export / "ladder.json")
    told = Statement(subjects_of(claim.ladder), TYPES["provenance"], {})
    with pytest.raises(ValueError, match="exactly one signature"):
        to_bundle(sign(told.to_bytes(), [KEYS["alice"], KEYS["bob"]]))
