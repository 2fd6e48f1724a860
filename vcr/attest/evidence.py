"""Evidence of providers, checked against the statements it binds to."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vcr.attest import strict_json
from vcr.attest.demand import Demand, NitroDemand
from vcr.attest.dsse import Envelope, signers
from vcr.attest.nitro import EVIDENCE_TYPE, Expected, document_bytes, verify_document
from vcr.attest.rejected import Joint, RejectedError, demand
from vcr.model.digest import Digest
from vcr.sandbox import pcrs

RUNGS = ("pcr0", "pcr1", "pcr2")  # as vcr/sandbox/enclave.py writes them
SOFTWARE = "software-v1"
SOFTWARE_PAYLOAD = "application/vnd.vcr.evidence.v1+json"


@dataclass(frozen=True)
class Proof:
    """Evidence that holds."""

    file: str
    kind: str  # its type, such as aws-nitro-v1
    words: str  # for people


def of_nitro(
    name: str,
    data: bytes,
    bound: Collection[bytes],
    ladder: Mapping[str, str],
    wanted: NitroDemand,
    at: dt.datetime,
) -> Proof:
    """Check a Nitro document, whose user_data is one of BOUND unless something else is WANTED.

    A LADDER with registers demands them, and that of the sealed root. Raises RejectedError.
    """
    registers = {
        index: value or pcrs.of_root(_root(ladder))
        for index, value in {**_of_ladder(ladder), **wanted.pcrs}.items()
    }
    expected = Expected(
        pcrs=registers,
        nonce=wanted.nonce,
        user_data=wanted.user_data,
        module_id=wanted.module_id,
        max_age=wanted.max_age,
        root=wanted.root,
    )
    document = verify_document(document_bytes(data), expected, at)
    if wanted.user_data is None and bound:
        demand(
            document.user_data in bound,
            Joint.USER_DATA,
            "it is bound to none of the statements: user_data must be the SHA-256 of one",
        )
    return Proof(name, EVIDENCE_TYPE, f"{document.module_id} at {document.time:%Y-%m-%dT%H:%M:%SZ}")


def of_software(name: str, envelope: Envelope, bound: Collection[bytes], wanted: Demand) -> Proof:
    """Check evidence of the provider `software`; raises RejectedError."""
    demand(
        envelope.payload_type == SOFTWARE_PAYLOAD,
        Joint.STATEMENT,
        f"payloadType {envelope.payload_type!r} is not known",
    )
    by = signers(envelope, wanted.trusted)
    check_software(envelope.payload, wanted.nitro.nonce, bound)
    return Proof(name, SOFTWARE, f"key {min(by)[:12]}")


def check_software(payload: bytes, nonce: bytes | None, bound: Collection[bytes]) -> None:
    """Check what software evidence says, its signature being good; raises RejectedError."""
    try:
        content = strict_json.load(payload)
        told, answered = bytes.fromhex(content["reportData"]), bytes.fromhex(content["nonce"])
    except (ValueError, TypeError, KeyError) as error:
        raise RejectedError(Joint.DOCUMENT, f"it is not evidence: {error}") from None
    demand(nonce is None or answered == nonce, Joint.NONCE, "it answers another challenge")
    demand(
        not bound or told in bound,
        Joint.USER_DATA,
        "it is bound to none of the statements",
    )


def has_registers(ladder: Mapping[str, str]) -> bool:
    """Tell whether LADDER says PCR0, PCR1 and PCR2."""
    return all(rung in ladder for rung in RUNGS)


def _of_ladder(ladder: Mapping[str, str]) -> dict[int, bytes]:
    if not has_registers(ladder):
        return {}
    told = {index: bytes.fromhex(Digest(ladder[rung]).hex) for index, rung in enumerate(RUNGS)}
    return told | {pcrs.ROOT_PCR: b""}


def _root(ladder: Mapping[str, str]) -> bytes:
    if "sealed" not in ladder:
        raise RejectedError(Joint.PCR, "the sealed root is demanded, and no ladder says it")
    return bytes.fromhex(Digest(ladder["sealed"]).hex)
