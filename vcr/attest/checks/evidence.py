"""Evidence of providers, checked against the statements it binds to."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vcr.attest import domains, strict_json
from vcr.attest.checks.age import check_age
from vcr.attest.checks.demand import Demand
from vcr.attest.checks.rejected import Joint, RejectedError, demand
from vcr.attest.dsse import Envelope, signers
from vcr.attest.nitro.document import EVIDENCE_TYPE, Expected, document_bytes, verify_document
from vcr.attest.predicates import parse_time
from vcr.formats import pcrs
from vcr.model.digest import Digest

RUNGS = ("pcr0", "pcr1", "pcr2")  # as vcr/sandbox/enclave.py writes them
IMAGE_REGISTERS = frozenset(range(len(RUNGS)))  # together they are of one image
SOFTWARE = "software-v1"
SOFTWARE_PAYLOAD = "application/vnd.vcr.evidence.v1+json"


@dataclass(frozen=True)
class Proof:
    """Evidence that holds, or a receipt that is kept with what holds."""

    file: str
    kind: str  # its type, such as aws-nitro-v1
    words: str  # for people
    is_verified: bool = True  # a receipt is not: nothing but whose it is was checked


def of_nitro(
    name: str,
    data: bytes,
    bound: Collection[bytes],
    ladder: Mapping[str, str],
    wanted: Demand,
    at: dt.datetime,
) -> Proof:
    """Check a Nitro document, which binds to one of BOUND unless something else is WANTED.

    A LADDER with registers demands them, and that of the sealed root. Raises RejectedError.
    """
    nitro = wanted.nitro
    registers = _registers(ladder, nitro.pcrs)
    expected = Expected(
        pcrs=registers,
        nonce=nitro.nonce,
        user_data=nitro.user_data,
        module_id=nitro.module_id,
        max_age=wanted.evidence_age,
        root=nitro.root,
    )
    document = verify_document(document_bytes(data), expected, at)
    if not registers.keys() >= IMAGE_REGISTERS:
        raise RejectedError(
            Joint.PCR,
            "PCR0, PCR1 and PCR2 are not all demanded: anybody's enclave could have made it",
            fix="give --pcrs FILE, pcrs under [nitro] of a policy, or a statement or a --ladder"
            " of the enclave's image, which has pcr0, pcr1 and pcr2",
        )
    if nitro.app_data is not None:
        _check_app(document.user_data, nitro.app_data)
    elif nitro.user_data is None:
        _check_bound(document.user_data, bound, is_answer=nitro.nonce is not None)
    return Proof(name, EVIDENCE_TYPE, f"{document.module_id} at {document.time:%Y-%m-%dT%H:%M:%SZ}")


def _check_app(told: bytes, given: bytes) -> None:
    """Raise RejectedError unless TOLD is what the app in the enclave asked for with GIVEN."""
    wanted = domains.of_app(given)
    if told != wanted:
        raise RejectedError(
            Joint.USER_DATA,
            "the app bound something else, or did not ask for it",
            expected=wanted.hex(),
            got=told.hex() or "none",
        )


def _check_bound(told: bytes, bound: Collection[bytes], *, is_answer: bool) -> None:
    """Raise RejectedError unless TOLD is one of BOUND; without any, an answer is bound to us.

    Either was asked for from outside: what the app says is not about a statement.
    """
    demand(
        not told.startswith(domains.APP),
        Joint.USER_DATA,
        "the app in the enclave requested it: give the bytes that it binds (--app-data HEX)",
    )
    if not bound and not is_answer:
        raise RejectedError(
            Joint.USER_DATA,
            "there is no statement to which it could be bound",
            fix="give the statement, too; or demand a --nonce, or user_data in a policy",
        )
    demand(
        not bound or told in map(domains.of_parent, bound),
        Joint.USER_DATA,
        "it is not bound to any of the statements: user_data must be the SHA-256 of one,"
        " requested from outside",
    )


def of_software(
    name: str, envelope: Envelope, bound: Collection[bytes], wanted: Demand, at: dt.datetime
) -> Proof:
    """Check evidence of the provider `software`; raises RejectedError."""
    demand(
        envelope.payload_type == SOFTWARE_PAYLOAD,
        Joint.STATEMENT,
        f"payloadType {envelope.payload_type!r} is not known",
    )
    by = signers(envelope, wanted.trusted)
    made = check_software(envelope.payload, wanted.nitro.nonce, bound)
    check_age(made, wanted.evidence_age, at)
    return Proof(name, SOFTWARE, f"key {min(by)[:12]}")


def software_payload(bound: bytes, nonce: bytes | None, made: dt.datetime | None) -> bytes:
    """Return what a key signs to answer NONCE and to bind to BOUND, MADE then if it says so."""
    content = {"reportData": bound.hex(), "nonce": (nonce or b"").hex()}
    if made is not None:
        content["time"] = f"{made:%Y-%m-%dT%H:%M:%SZ}"
    return strict_json.dump(content)


def check_software(
    payload: bytes, nonce: bytes | None, bound: Collection[bytes]
) -> dt.datetime | None:
    """Check what software evidence says, its signature being good; return when it was made.

    Raises RejectedError.
    """
    try:
        content = strict_json.load(payload)
        told, answered = map(strict_json.read_hex, (content["reportData"], content["nonce"]))
        made = parse_time(content["time"]) if "time" in content else None
    except (ValueError, TypeError, KeyError) as error:
        raise RejectedError(Joint.DOCUMENT, f"it is not evidence: {error}") from None
    demand(nonce is None or answered == nonce, Joint.NONCE, "it answers another challenge")
    demand(told in bound, Joint.USER_DATA, "it is not bound to any of the statements")
    return made


def has_registers(ladder: Mapping[str, str]) -> bool:
    """Return whether LADDER says PCR0, PCR1 and PCR2."""
    return all(rung in ladder for rung in RUNGS)


def _registers(ladder: Mapping[str, str], demanded: Mapping[int, bytes]) -> dict[int, bytes]:
    """Return what registers must be: those of LADDER, if it has any, and those DEMANDED.

    Raises RejectedError when they contradict one another.
    """
    found: dict[int, bytes] = {}
    if has_registers(ladder):
        found = {n: bytes.fromhex(Digest(ladder[rung]).hex) for n, rung in enumerate(RUNGS)}
        found[pcrs.ROOT_PCR] = pcrs.of_root(_root(ladder))
    for index, value in demanded.items():
        register = value or pcrs.of_root(_root(ladder))
        if found.setdefault(index, register) != register:
            raise RejectedError(
                Joint.PCR,
                f"PCR{index} is demanded to differ from that of the ladder",
                expected=register.hex(),
                got=found[index].hex(),
            )
    return found


def _root(ladder: Mapping[str, str]) -> bytes:
    if "sealed" not in ladder:
        raise RejectedError(Joint.PCR, "the sealed root is demanded, but no ladder has it")
    return bytes.fromhex(Digest(ladder["sealed"]).hex)
