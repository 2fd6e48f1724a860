"""Statements in a registry, beside the image that they are about: pushed, and found again.

Each is a Sigstore bundle that refers to the image, as cosign 3 writes and finds them:
https://github.com/sigstore/cosign/blob/v3.0.2/specs/BUNDLE_SPEC.md
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcr.app.context import Context
from vcr.app.proving.inputs import read_input
from vcr.attest import bundle, dsse
from vcr.attest.bundle import Bundle, read_bundle, to_bundle
from vcr.attest.checks.demand import Demand
from vcr.attest.checks.logged import check_entries
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.dsse import signers
from vcr.attest.predicates import kind_of
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
    others: int  # of keys that nobody trusts, or of no type that is known


def push_statements(
    context: Context, reference: str, files: Sequence[Path]
) -> tuple[Published, ...]:
    """Push the statements in FILES to REFERENCE, beside the image there that they are about.

    The same pushed twice is there once. Raises UsageError, RejectedError for what is no statement,
    MismatchError for a statement about another image, FetchError, HostError.
    """
    place, skopeo = Reference.parse(reference), Skopeo.pinned(Nix(context.settings))
    read = [(file, read_bundle(read_input(file))) for file in files]
    told = [(file, given, read_statement(given.envelope)) for file, given in read]
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


def find_statements(context: Context, reference: str, wanted: Demand, at: dt.datetime) -> Found:
    """Return the statements at REFERENCE about its image that a key WANTED to be trusted signed.

    What others have put beside it is left out, since everybody who may push can do that; so is
    what is of no type that vcr reads, such as VEX, and, where an entry of a log is wanted, a bundle
    whose entry does not hold AT that time. Raises UsageError, RejectedError when there is none,
    FetchError, MismatchError.
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
        problems = {digest: _problem(data, wanted, at) for digest, data in read.items()}
        ours = [(name + digest, data) for digest, data in read.items() if not problems[digest]]
        if not ours:
            raise _none(problems, reference, name)
        step.because(f"{counted(len(ours), 'statement')} of trusted keys")
    return Found(image.digest, tuple(sorted(ours)), len(read) - len(ours))


def _push(
    skopeo: Skopeo,
    place: Reference,
    image: Descriptor,
    file: Path,
    given: Bundle,
    statement: Statement,
) -> Published:
    notes = {_CONTENT: "dsse-envelope", _PREDICATE: statement.predicate_type}
    try:
        data = to_bundle(given.envelope, given.entries)
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


def _none(problems: Mapping[str, RejectedError | None], reference: str, name: str) -> RejectedError:
    """Return that of all statements at REFERENCE none counts, or why one of a trusted key does not.

    Those are the ones whose signature was no problem.
    """
    for digest, problem in problems.items():
        if problem is not None and problem.joint in {Joint.LOG, Joint.PREDICATE}:
            return problem.of_file(name + digest)
    return RejectedError(
        Joint.SIGNATURE,
        counted(len(problems), "statement refers", "statements refer")
        + " to its image, and a trusted key signed none",
        file=reference,
    )


def _problem(data: bytes, wanted: Demand, at: dt.datetime) -> RejectedError | None:
    """Return why the envelope or bundle in DATA is left out, None when it counts."""
    try:
        given = read_bundle(data)
        check_entries(given, signers(given.envelope, wanted.trusted), wanted, at)
        kind_of(read_statement(given.envelope))
    except RejectedError as error:
        return error
    return None


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
        names = [_named(row) for row in rows]
        found = [
            Descriptor(str(row["mediaType"]), str(Digest(row["digest"])), int(row["size"]))
            for row in rows
        ]
    except MALFORMED as error:
        raise MismatchError(f"{place.text} is not an image", why=str(error)) from None
    if len(found) != 1:
        raise UsageError(
            f"{place.text} has {counted(len(found), 'image')}",
            why=f"they are {', '.join(names)}" if names else "",
            fix=f"name one by its digest: {place.repository}@sha256:...",
        )
    return found[0]


def _named(row: Mapping[str, Any]) -> str:
    """Return the digest and the platform of an image in an index, as it tells them."""
    told = row.get("platform") or {}
    platform = "/".join(str(told[key]) for key in ("os", "architecture", "variant") if key in told)
    return f"{row['digest']} ({platform or 'no platform'})"
