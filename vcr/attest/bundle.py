"""Sigstore bundles: how cosign and registries carry a signed statement.

https://github.com/sigstore/protobuf-specs/blob/v0.5.0/protos/sigstore_bundle.proto, as JSON of
protobuf. Of a bundle only its envelope is believed, by keys that the reader trusts; certificates
and entries of a transparency log that others put beside it are not looked at.
"""

import base64

from vcr.attest import strict_json
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.dsse import Envelope, envelope_of_json, read_envelope

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# What older programs write: the version as a parameter.
_OLDER = "application/vnd.dev.sigstore.bundle+json;version="
_ENVELOPE = "dsseEnvelope"


def to_bundle(envelope: Envelope) -> bytes:
    """Return ENVELOPE, of one signature, as a bundle: canonical JSON and a newline.

    The id of its key is left out, since cosign takes it for the name of a file's key. Raises
    ValueError for more signatures than the one that the format allows.
    """
    if len(envelope.signatures) != 1:
        raise ValueError("a bundle holds exactly one signature")
    told = strict_json.load(envelope.to_bytes())
    (signature,) = told["signatures"]
    # As cosign names a key: the digest of its SubjectPublicKeyInfo.
    hint = base64.b64encode(bytes.fromhex(signature["keyid"])).decode()
    content = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}},
        _ENVELOPE: {**told, "signatures": [{"sig": signature["sig"]}]},
    }
    return strict_json.dump(content) + b"\n"


def envelope_of(data: bytes) -> Envelope:
    """Return the envelope in DATA, a bundle or an envelope itself; raises RejectedError."""
    try:
        content = strict_json.load(data)
    except ValueError:
        return read_envelope(data)  # says what is wrong with it
    if not isinstance(content, dict) or not _is_type(content.get("mediaType")):
        return envelope_of_json(content)
    if _ENVELOPE not in content:
        raise RejectedError(Joint.ENVELOPE, "the bundle has a signature of a file, not a statement")
    return envelope_of_json(content[_ENVELOPE])


def _is_type(text: object) -> bool:
    return isinstance(text, str) and (text == MEDIA_TYPE or text.startswith(_OLDER))
