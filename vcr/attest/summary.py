"""Verification summaries: that statements about a ladder were verified, by which policy.

https://slsa.dev/spec/v1.1/verification_summary. vcr evaluates no level of SLSA, and says so.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from vcr import __version__
from vcr.attest.checks.checker import Verdict
from vcr.attest.predicates import OURS
from vcr.attest.statement import Statement
from vcr.errors import UsageError
from vcr.model.digest import Digest

TYPE = "https://slsa.dev/verification_summary/v1"
VERIFIER = f"{OURS}/verifier/v1"
SLSA_VERSION = "1.1"
_LEVEL = "SLSA_BUILD_LEVEL_UNEVALUATED"
_IMAGE = "image"  # the rung


@dataclass(frozen=True)
class PolicyFile:
    """The demands that were met: a file's name and what is in it."""

    name: str
    data: bytes


def summarize(
    verdict: Verdict, policy: PolicyFile, at: dt.datetime, repository: str = ""
) -> Statement:
    """Return the summary that VERDICT was reached by POLICY AT that time.

    REPOSITORY is where its image is, HOST[:PORT]/NAME, if that is known. Raises UsageError where
    there is no image that it could be about.
    """
    image = verdict.ladder.get(_IMAGE)
    if image is None or not verdict.said:
        raise UsageError(
            "there is nothing to summarize", why="a summary is of statements about an image",
            fix="give a statement, such as the provenance",
        )  # fmt: skip
    predicate = {
        "verifier": {"id": VERIFIER, "version": {"vcr": __version__}},
        "timeVerified": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "resourceUri": _resource(verdict, image, repository),
        "policy": {"uri": _relative(policy.name), "digest": _sha256(policy.data)},
        "inputAttestations": [
            {"uri": _uri(name), "digest": {"sha256": digest.hex}} for name, digest in verdict.inputs
        ],
        "verificationResult": "PASSED",
        "verifiedLevels": [_LEVEL],
        "slsaVersion": SLSA_VERSION,
    }
    rungs = {name: Digest(digest) for name, digest in verdict.ladder.items()}
    return Statement(rungs, TYPE, predicate)


def _resource(verdict: Verdict, image: str, repository: str) -> str:
    """Return a package URL of IMAGE.

    https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md
    """
    name = repository.rpartition("/")[2] or str(verdict.terms.get("name", _IMAGE))
    where = f"?repository_url={quote(repository, safe='/:')}" if repository else ""
    return f"pkg:oci/{quote(name.lower(), safe='')}@{quote(image, safe='')}{where}"


def _uri(name: str) -> str:
    return f"oci://{name}" if "@sha256:" in name else _relative(name)


def _relative(name: str) -> str:
    """Return the last part of the file NAME as a reference; where it was says nothing to others."""
    return quote(PurePath(name).name)


def _sha256(data: bytes) -> Mapping[str, Any]:
    return {"sha256": Digest.of_bytes(data).hex}
