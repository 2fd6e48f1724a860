"""What refers to an image of a registry: artifacts that have it as `subject`.

A registry with the API lists them. For one without, the specification has clients keep a list
themselves: an index under a tag that is made of the subject's digest.
https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers and
#referrers-tag-schema
"""

import http
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vcr.atomic import scratch_directory
from vcr.errors import FetchError, MismatchError
from vcr.export import distribution
from vcr.export.artifact import EMPTY, NOTHING
from vcr.export.check import MALFORMED
from vcr.export.reference import Reference
from vcr.foreign import MAX_LADDER, MAX_PROOF, load_json, read_bytes
from vcr.formats.failure import Failure
from vcr.formats.oci import INDEX, Descriptor, Layout, canonical
from vcr.formats.oci import MANIFEST as MANIFEST_TYPE
from vcr.model.digest import Digest
from vcr.tools.skopeo import Skopeo

MAX_ROWS = 1000  # of what refers to one image
MAX_PAGES = 16
_NEXT = re.compile(r'\s*<(?P<target>[^>]*)>\s*;\s*rel="?next"?\s*$')
UNKNOWN = ("manifest unknown", "name unknown", "not found", "404")  # as skopeo passes it on


@dataclass(frozen=True)
class Artifact:
    """One that refers to an image: its manifest, by which it is found."""

    artifact_type: str
    descriptor: Descriptor
    annotations: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return its row in a list of referrers."""
        notes = {"annotations": dict(self.annotations)} if self.annotations else {}
        return self.descriptor.to_json(artifactType=self.artifact_type, **notes)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Artifact":
        """Read a ROW of a list; raises what JSON of another shape leads to."""
        size, digest = row["size"], Digest(row["digest"])
        if type(size) is not int or not 0 <= size <= MAX_LADDER:
            raise ValueError("a manifest of that size")
        notes = row.get("annotations") or {}
        kind = Descriptor(str(row["mediaType"]), digest, size)
        told = {str(key): str(text) for key, text in notes.items()}
        return cls(str(row.get("artifactType", "")), kind, told)


def attach(
    skopeo: Skopeo,
    reference: Reference,
    subject: Descriptor,
    data: bytes,
    media_type: str,
    annotations: Mapping[str, str],
) -> Digest:
    """Push DATA as an artifact of MEDIA_TYPE that refers to SUBJECT; return its digest.

    The same pushed twice is there once. Raises VcrError.
    """
    with scratch_directory() as scratch:
        layout = Layout(scratch / "layout")
        layout.root.mkdir()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": media_type,
            "config": layout.add_bytes(NOTHING, EMPTY).to_json(),
            "layers": [layout.add_bytes(data, media_type).to_json()],
            "subject": subject.to_json(),
            "annotations": dict(annotations),
        }
        made = layout.add_bytes(canonical(manifest), MANIFEST_TYPE)
        layout.finish([made.to_json()])
        target = f"docker://{reference.repository}@{made.digest}"
        skopeo.push_all(layout.root, target, plain_http=reference.is_loopback)
    ensure_listed(skopeo, reference, subject, Artifact(media_type, made, annotations))
    return Digest(made.digest)


def ensure_listed(
    skopeo: Skopeo, reference: Reference, subject: Descriptor, artifact: Artifact
) -> None:
    """Have the registry of REFERENCE list ARTIFACT, which it has, as one of SUBJECT.

    Does nothing where the registry has the API, which lists it by itself. Raises VcrError.
    """
    if _by_api(reference, subject.digest) is not None:
        return
    there = _by_tag(skopeo, reference, subject.digest)
    rows = [row for row in there if row["digest"] != artifact.descriptor.digest]
    rows = [*rows, artifact.to_json()]
    if rows == there:
        return
    with scratch_directory() as scratch:
        layout = Layout(scratch / "layout")
        layout.root.mkdir()
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}
        layout.finish([layout.add_bytes(canonical(index), INDEX).to_json()])
        target = f"docker://{reference.repository}:{_tag(subject.digest)}"
        skopeo.push_index(layout.root, target, plain_http=reference.is_loopback)


def list_referrers(skopeo: Skopeo, reference: Reference, digest: str) -> list[Artifact]:
    """Return what refers to the manifest DIGEST at REFERENCE; raises FetchError, MismatchError."""
    rows = _by_api(reference, digest)
    if rows is None:
        rows = _by_tag(skopeo, reference, digest)
    try:
        return [Artifact.of_row(row) for row in rows[:MAX_ROWS]]
    except MALFORMED as error:
        raise MismatchError(
            f"what refers to {digest} is not listed as it should be", why=str(error)
        ) from None


def fetch(skopeo: Skopeo, reference: Reference, artifact: Artifact) -> bytes:
    """Return the one file of ARTIFACT, checked by its digests; raises FetchError, MismatchError."""
    digest = artifact.descriptor.digest
    with scratch_directory() as scratch:
        layout = Layout(scratch / "layout")
        source = f"docker://{reference.repository}@{digest}"
        skopeo.copy_all(
            source, layout.root, plain_http=reference.is_loopback, most=MAX_PROOF + MAX_LADDER
        )
        try:
            return _only_file(layout, digest)
        except (Failure, *MALFORMED) as error:
            raise MismatchError(
                f"{source} is not an artifact of one file", why=str(error)
            ) from None


def _only_file(layout: Layout, digest: str) -> bytes:
    (top,) = load_json(read_bytes(layout.root / "index.json", MAX_LADDER))["manifests"]
    if top["digest"] != digest:
        raise ValueError("it is another one than was asked for")
    told = load_json(read_bytes(layout.checked(top), MAX_LADDER))
    (layer,) = told["layers"]
    return read_bytes(layout.checked(layer), MAX_PROOF)


def _by_api(reference: Reference, digest: str) -> list[dict[str, Any]] | None:
    """Return the rows that the registry lists, None when it has no such list."""
    found: list[dict[str, Any]] = []
    path = f"referrers/{digest}"
    for _ in range(MAX_PAGES):
        answer = distribution.get(reference, path, INDEX)
        kind = answer.headers.get("content-type", "").partition(";")[0].strip()
        if answer.status != http.HTTPStatus.OK or kind != INDEX:
            return None
        found += _rows(answer.body, digest)
        query = _next(answer.headers.get("link", ""))
        if not query:
            return found
        path = f"referrers/{digest}?{query}"
    raise FetchError(f"the registry's list of what refers to {digest} does not end")


def _next(link: str) -> str:
    """Return the query of the next page of a list, "" after the last: RFC 8288."""
    match = _NEXT.match(link)
    return urllib.parse.urlsplit(match["target"]).query if match else ""


def _by_tag(skopeo: Skopeo, reference: Reference, digest: str) -> list[dict[str, Any]]:
    """Return the rows of the list that clients keep, which need not be there."""
    image = f"docker://{reference.repository}:{_tag(digest)}"
    try:
        data = skopeo.raw_bytes(image, plain_http=reference.is_loopback)
    except FetchError as error:
        if any(word in error.why for word in UNKNOWN):
            return []
        raise
    return _rows(data, digest)


def _rows(data: bytes, digest: str) -> list[dict[str, Any]]:
    try:
        rows = load_json(data)["manifests"] or []
        return [dict(row) for row in rows if isinstance(row["digest"], str)]
    except MALFORMED as error:
        raise MismatchError(f"what refers to {digest} is not an index", why=str(error)) from None


def _tag(digest: str) -> str:
    return digest.replace(":", "-")
