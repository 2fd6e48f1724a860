"""Statements in a registry, beside the image that they are about: pushed, and found again.

Each is a Sigstore bundle that refers to the image, as cosign 3 writes and finds them:
https://github.com/sigstore/cosign/blob/v3.0.2/specs/BUNDLE_SPEC.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vcr.app.context import Context
from vcr.app.proving.inputs import read_input
from vcr.attest import bundle, dsse
from vcr.attest.bundle import envelope_of, to_bundle
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.dsse import Envelope, Trusted, signers
from vcr.attest.statement import Statement, read_statement
from vcr.errors import MismatchError, UsageError
from vcr.export.artifact import ARTIFACT
from vcr.export.check import MALFORMED
from vcr.export.reference import Reference
from vcr.export.referrers import attach, fetch, list_referrers
from vcr.foreign import load_json
from vcr.formats.oci import INDEX, MANIFEST, Descriptor
from vcr.model.digest import Digest
from vcr.tools.nix import Nix
from vcr.tools.skopeo import Skopeo
from vcr.words import counted

IMAGE = "image"  # the rung
TYPES = (bundle.MEDIA_TYPE, dsse.MEDIA_TYPE)
MAX_STATEMENTS = 100  # that are looked at beside one image
# What cosign and oras show of one.
_CONTENT = "dev.sigstore.bundle.content"
_PREDICATE = "dev.sigstore.bundle.predicateType"


@dataclass(frozen=True)
class Published:
    """A statement that a registry has."""

    file: Path
    digest: Digest  # of its manifest
    image: str  # digest of the image that it refers to


@dataclass(frozen=True)
class Found:
    """What keys that are trusted have said of an image."""

    image: str  # its digest
    statements: tuple[tuple[str, bytes], ...]  # name, content
    others: int  # of keys that nobody trusts, or that are none


def push_statements(
    context: Context, reference: str, files: Sequence[Path]
) -> tuple[Published, ...]:
    """Push the statements in FILES to REFERENCE, beside the image there that they are about.

    The same pushed twice is there once. Raises UsageError, RejectedError for what is no statement,
    MismatchError for a statement about another image, FetchError, HostError.
    """
    place, skopeo = Reference.parse(reference), Skopeo.pinned(Nix(context.settings))
    read = [(file, envelope_of(read_input(file))) for file in files]
    told = [(file, envelope, read_statement(envelope)) for file, envelope in read]
    with context.ui.step("push") as step:
        image = _image_at(skopeo, place)
        for file, _, statement in told:
            about = _image_of(statement)
            if about != image.digest:
                raise MismatchError(
                    f"{file} is about another image than {reference} is",
                    details=(("expected", about), ("got", image.digest)),
                    fix="push the release that it is about, or name that",
                )
        done = [_push(skopeo, place, image, *each) for each in told]
        step.because(f"{place.text} has {counted(len(done), 'statement')}")
    return tuple(done)


def find_statements(context: Context, reference: str, trusted: Trusted) -> Found:
    """Return the statements at REFERENCE about its image that a key of TRUSTED signed.

    What others have put beside it is left out, since everybody who may push can do that. Raises
    UsageError, RejectedError when there is none, FetchError, MismatchError.
    """
    place, skopeo = Reference.parse(reference), Skopeo.pinned(Nix(context.settings))
    with context.ui.step("statements") as step:
        image = _image_at(skopeo, place)
        rows = list_referrers(skopeo, place, image.digest)
        rows = [row for row in rows if row.artifact_type in TYPES]
        if len(rows) > MAX_STATEMENTS:
            raise MismatchError(
                f"{reference} has {counted(len(rows), 'statement')}",
                why=f"at most {MAX_STATEMENTS} are looked at",
            )
        read = {row.descriptor.digest: fetch(skopeo, place, row) for row in rows}
        name = f"{place.repository}@"
        ours = [(name + digest, data) for digest, data in read.items() if _holds(data, trusted)]
        if not ours:
            raise RejectedError(
                Joint.SIGNATURE,
                counted(len(read), "statement refers", "statements refer")
                + " to its image, and a trusted key signed none",
                file=reference,
            )
        step.because(f"{counted(len(ours), 'statement')} of trusted keys")
    return Found(image.digest, tuple(sorted(ours)), len(read) - len(ours))


def _push(
    skopeo: Skopeo,
    place: Reference,
    image: Descriptor,
    file: Path,
    envelope: Envelope,
    statement: Statement,
) -> Published:
    notes = {_CONTENT: "dsse-envelope", _PREDICATE: statement.predicate_type}
    try:
        data = to_bundle(envelope)
    except ValueError as error:
        raise UsageError(f"{file} cannot be pushed", why=str(error)) from None
    digest = attach(skopeo, place, image, data, bundle.MEDIA_TYPE, notes)
    return Published(file, digest, image.digest)


def _image_of(statement: Statement) -> Digest:
    """Return the image that STATEMENT is about; raises RejectedError."""
    digest = statement.rungs.get(IMAGE)
    if digest is None:
        raise RejectedError(Joint.SUBJECT, "the statement is about no image")
    return digest


def _holds(data: bytes, trusted: Trusted) -> bool:
    """Return whether a key of TRUSTED signed the envelope or bundle in DATA."""
    try:
        return bool(signers(envelope_of(data), trusted))
    except RejectedError:
        return False


def _image_at(skopeo: Skopeo, place: Reference) -> Descriptor:
    """Return the one image that PLACE names, itself or in its index.

    Raises FetchError, MismatchError, UsageError for an index of several.
    """
    data = skopeo.raw_bytes(place.image, plain_http=place.is_loopback)
    digest = Digest.of_bytes(data)
    if place.digest and place.digest != str(digest):
        raise MismatchError(f"{place.text} has other content", details=[("got", digest)])
    try:
        told = load_json(data)
        if told["mediaType"] != INDEX:
            return Descriptor(MANIFEST, str(digest), len(data))
        rows = [row for row in told["manifests"] if row.get("artifactType") != ARTIFACT]
        found = [
            Descriptor(str(row["mediaType"]), str(Digest(row["digest"])), int(row["size"]))
            for row in rows
        ]
    except MALFORMED as error:
        raise MismatchError(f"{place.text} is not an image", why=str(error)) from None
    if len(found) != 1:
        raise UsageError(
            f"{place.text} has {counted(len(found), 'image')}",
            fix="name one by its digest: HOST/NAME@sha256:...",
        )
    return found[0]
