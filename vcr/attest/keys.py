"""Keys as files: PKCS #8 PEM, mode 0600, beside its public half as PEM.

vcr signs with Ed25519, in the forms that cosign and openssl read (RFC 8410), and also
believes signatures of ECDSA over P-256, which cosign's own keys make. A private key is never
overwritten, and one that others may read is refused. A key's id is the SHA-256 of its
SubjectPublicKeyInfo, so one key has one id whatever it is called.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from vcr.atomic import write_bytes
from vcr.errors import HostError, UsageError
from vcr.foreign import MAX_TEXT, open_regular, read_bytes

type PublicKey = Ed25519PublicKey | ec.EllipticCurvePublicKey  # the latter over P-256

MAKE_ONE = "`vcr attest keygen NAME` makes a pair"

# RFC 8032, 5.1.3: y must be below p. Anybody can sign for a key of small order, whose y is
# one of these: https://eprint.iacr.org/2020/1244, table 1.
_P = 2**255 - 19
_EIGHT = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_SMALL_ORDER = {0, 1, _P - 1, _EIGHT, _P - _EIGHT}


def create_pair(prefix: Path) -> tuple[Path, Path]:
    """Make a new pair, PREFIX.key and PREFIX.pub; raises UsageError if one is there."""
    if not prefix.name:
        raise UsageError(f"{prefix} is not a name", fix=MAKE_ONE)
    private, public = prefix.with_name(f"{prefix.name}.key"), prefix.with_name(f"{prefix.name}.pub")
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise _exists(path)
    key = Ed25519PrivateKey.generate()
    _write_new(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_bytes(public, public_pem(key.public_key()))
    return private, public


def read_private(path: Path) -> Ed25519PrivateKey:
    """Read the private key at PATH; raises UsageError, also when others may read it."""
    try:
        with open_regular(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_TEXT)
    except OSError as error:
        raise UsageError(
            f"cannot read the key {path}", why=error.strerror or str(error), fix=MAKE_ONE
        ) from None
    if mode & 0o077:
        raise UsageError(
            f"the private key {path} is not private",
            why=f"its mode is {mode:04o}: others on this host may read it",
            fix=f"chmod 600 {path}",
        )
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            f"{path} is not a private key",
            why=f"it has to be an Ed25519 key in PKCS #8 PEM; {error}",
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 key", fix=MAKE_ONE)
    return key


def read_public(path: Path) -> PublicKey:
    """Read the public key at PATH; raises UsageError."""
    try:
        data = read_bytes(path, MAX_TEXT)
    except OSError as error:
        raise UsageError(f"cannot read the key {path}", why=error.strerror or str(error)) from None
    return parse_public(data, str(path))


def parse_public(data: bytes, name: str) -> PublicKey:
    """Read a public key in PEM, called NAME; raises UsageError."""
    try:
        key = load_pem_public_key(data)
    except Exception as error:  # noqa: BLE001 -- whatever a parser of strange bytes raises
        raise UsageError(f"{name} is not a public key in PEM", why=str(error)) from None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key  # OpenSSL has found that it is a point of the curve, and no other is weak
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            f"{name} is not a key of a kind that is believed",
            why="statements are signed with Ed25519, or ECDSA over P-256",
        )
    y = int.from_bytes(key.public_bytes_raw(), "little") & (2**255 - 1)
    if y >= _P or y in _SMALL_ORDER:
        raise UsageError(f"{name} is a weak key", why="anybody could sign with it")
    return key


def public_pem(key: PublicKey) -> bytes:
    """Return KEY in PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: PublicKey) -> str:
    """Return the id of KEY: SHA-256 of its SubjectPublicKeyInfo in DER, in hex."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Return whether SIGNATURE is one of KEY over MESSAGE; ECDSA is with SHA-256, as DER."""
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def read_trusted(paths: Iterable[Path]) -> dict[str, PublicKey]:
    """Return the public keys at PATHS by id, one that is there twice once; raises UsageError."""
    return {key_id(key): key for key in map(read_public, paths)}


def _write_new(path: Path, data: bytes) -> None:
    """Write DATA to PATH, mode 0600, whole; whatever is there stays."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            path.hardlink_to(name)  # unlike a rename, it does not replace
        finally:
            Path(name).unlink()
    except OSError as error:
        if path.exists():
            raise _exists(path) from None
        raise HostError(f"cannot write {path}", why=error.strerror or str(error)) from None


def _exists(path: Path) -> UsageError:
    return UsageError(
        f"{path} exists already",
        why="vcr never overwrites a key: without it, nothing could be signed with it again",
        fix="choose another name",
    )
