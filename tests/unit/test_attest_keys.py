"""Keys as files: private, never overwritten, one id a key."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from vcr.attest.keys import create_pair, key_id, parse_public, public_pem, read_private, read_public
from vcr.errors import HostError, UsageError

# y of the points of order 1, 2, 4 and 8, and of one that is not reduced.
SMALL_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


def test_a_pair_is_made_and_read(tmp_path: Path) -> None:
    private, public = create_pair(tmp_path / "new" / "alice")
    assert (private.name, public.name) == ("alice.key", "alice.pub")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert [path.name for path in sorted(private.parent.iterdir())] == ["alice.key", "alice.pub"]
    assert key_id(read_private(private).public_key()) == key_id(read_public(public))


@pytest.mark.parametrize("there", ["alice.key", "alice.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        create_pair(tmp_path / "alice")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "alice.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists already"):
        create_pair(tmp_path / "alice")


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot write"):
        create_pair(tmp_path / "file" / "alice")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    private, _ = create_pair(tmp_path / "alice")
    private.chmod(mode)
    with pytest.raises(UsageError, match="is not private") as caught:
        read_private(private)
    assert caught.value.fix == f"chmod 600 {private}"


def pem_of(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes) -> bytes:
    protection = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        pem_of(ec.generate_private_key(ec.SECP256R1()), b""),
        pem_of(ed25519.Ed25519PrivateKey.generate(), b"password"),
    ],
    ids=["empty", "text", "P-256", "encrypted"],
)
def test_what_is_no_private_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(UsageError):
        read_private(path)
    with pytest.raises(UsageError):
        read_public(path)
    with pytest.raises(UsageError, match="cannot read"):
        read_private(tmp_path / "none")


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_keys_for_which_anybody_can_sign_are_refused(point: str) -> None:
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(point))
    with pytest.raises(UsageError, match="weak"):
        parse_public(public_pem(key), "key")


@pytest.mark.parametrize("prefix", ["", "/", ".", "//"])
def test_a_pair_has_a_name(prefix: str) -> None:
    with pytest.raises(UsageError, match="is not a name"):
        create_pair(Path(prefix))
