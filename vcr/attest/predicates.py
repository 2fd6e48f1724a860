"""The kinds of predicates: their types, which are stable, and what each must say.

Types of others are used where there are any; ours are names under vcr.example, a domain
that nobody can own (RFC 6761), and lead nowhere. Documented in docs/attest.md.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vcr import __version__
from vcr.attest import strict_json
from vcr.attest.checks.rejected import Joint, RejectedError, demand
from vcr.attest.statement import DRIVE, Statement
from vcr.attest.terms import Terms, read_terms
from vcr.model.digest import Digest
from vcr.model.plan import Plan
from vcr.model.stage import Rebuilt

OURS = "https://vcr.example"
TYPES = {
    "provenance": "https://slsa.dev/provenance/v1",
    "root-hash": f"{OURS}/attestation/root-hash/v1",
    "run-once": f"{OURS}/attestation/run-once/v1",
    "rebuild": f"{OURS}/attestation/rebuild/v1",
    "sbom": "https://spdx.dev/Document",
    "cyclonedx": "https://cyclonedx.org/bom",
}
NAMES = {uri: name for name, uri in TYPES.items()}
BUILD_TYPE = f"{OURS}/build/v1"
BUILDER = f"{OURS}/builder/v1"
SPDX_VERSION, CYCLONEDX_VERSION = "SPDX-2.3", "1.6"
BUILD_COMMENT = "vcr build: "  # in an SPDX document: its comment begins so; then the terms
BUILD_PROPERTY = "vcr:build"  # in a CycloneDX document: the property that has them
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True)
class Host:
    """Who says it: the vcr and the kind of host that built, or built again."""

    system: str  # as Nix calls it, such as x86_64-linux
    version: str = __version__

    def as_json(self) -> dict[str, str]:
        """Return it as a predicate has it."""
        return {"id": BUILDER, "version": self.version, "system": self.system}


def root_hash(plan: Plan, verity: Mapping[str, Any], drive_size: int) -> dict[str, Any]:
    """Say that a drive with the parameters VERITY, of verity.json, holds the machine of PLAN."""
    parameters = {name: value for name, value in verity.items() if name not in _NOT_VERITY}
    return {
        "build": plan.terms,
        "machineHash": str(verity["machine_hash"]),
        "drive": {"size": drive_size},
        "verity": parameters,
    }


_NOT_VERITY = {"schema", "machine_hash"}


def run_once(plan: Plan, machine: Mapping[str, Any], digest: str, host: Host) -> dict[str, Any]:
    """Say that MACHINE, of machine.json, came out as DIGEST when it was executed once more."""
    count = {name: machine[name] for name in ("instructions", "cycles") if name in machine}
    return {
        "build": plan.terms,
        "machineHash": digest,
        "execution": {"from": "step 0", "same": True, **count},
        "builder": host.as_json(),
    }


def rebuild(
    plan: Plan, lock: Digest, source: Mapping[str, Any] | None, host: Host, rebuilt: Rebuilt
) -> dict[str, Any]:
    """Say that building PLAN again from SOURCE, its lock being LOCK, gave the subjects.

    REBUILT is how much was built again, not NOTHING.
    """
    given = [{"name": "vcr.lock", "digest": {"sha256": lock.hex}}]
    return {
        "build": plan.terms,
        "resolvedDependencies": [*([dict(source)] if source else []), *given],
        "same": True,
        "rebuilt": str(rebuilt),
        "builder": host.as_json(),
    }


def with_time(kind: str, predicate: Mapping[str, Any], time: str) -> dict[str, Any]:
    """Return PREDICATE of the KIND saying that it was made at TIME, where its type has a place."""
    if kind == "provenance":
        details = predicate["runDetails"]
        return {**predicate, "runDetails": {**details, "metadata": {"finishedOn": time}}}
    if kind == "sbom":
        return {**predicate, "creationInfo": {**predicate["creationInfo"], "created": time}}
    if kind == "cyclonedx":
        return {**predicate, "metadata": {**predicate["metadata"], "timestamp": time}}
    return {**predicate, "time": time}


def time_of(statement: Statement) -> dt.datetime | None:
    """Return when STATEMENT says it was made, None if it does not; raises RejectedError."""
    if statement.predicate_type == TYPES["provenance"]:
        text = statement.predicate["runDetails"].get("metadata", {}).get("finishedOn")
    elif statement.predicate_type == TYPES["sbom"]:
        text = statement.predicate.get("creationInfo", {}).get("created")
    elif statement.predicate_type == TYPES["cyclonedx"]:
        text = statement.predicate.get("metadata", {}).get("timestamp")
    else:
        text = statement.predicate.get("time")
    return None if text is None else parse_time(text)


def parse_time(text: object) -> dt.datetime:
    """Read a time such as 2026-11-26T00:00:00Z; raises RejectedError."""
    try:
        if isinstance(text, str) and _TIME.fullmatch(text):
            return dt.datetime.fromisoformat(text)
    except ValueError:
        pass  # such as a month 13
    raise RejectedError(Joint.PREDICATE, f"{text!r} is not a time in UTC")


def build_of(statement: Statement) -> Terms | None:
    """Return the terms of the ladder that STATEMENT is about, None if an SBOM does not say.

    Raises KeyError, TypeError, ValueError.
    """
    if statement.predicate_type in {TYPES["sbom"], TYPES["cyclonedx"]}:
        text = _terms_in(statement)
        return None if text is None else read_terms(strict_json.load(text.encode()))
    if statement.predicate_type != TYPES["provenance"]:
        return read_terms(statement.predicate["build"])
    definition = statement.predicate["buildDefinition"]
    terms = read_terms(definition["externalParameters"])
    epoch = definition.get("internalParameters", {}).get("epoch", terms["epoch"])
    if epoch != terms["epoch"]:
        raise ValueError("it has two epochs")
    return terms


def _terms_in(statement: Statement) -> str | None:
    """Return where an SBOM says what it was built for, None if it does not."""
    if statement.predicate_type == TYPES["sbom"]:
        comment = str(statement.predicate.get("comment", ""))
        return comment.removeprefix(BUILD_COMMENT) if comment.startswith(BUILD_COMMENT) else None
    rows = statement.predicate.get("metadata", {}).get("properties", [])
    found = [str(row["value"]) for row in rows if row["name"] == BUILD_PROPERTY]
    if len(found) > 1:
        raise ValueError("it says twice what it was built for")
    return found[0] if found else None


def kind_of(statement: Statement) -> str:
    """Return the kind of STATEMENT's predicate; raises RejectedError when it is not known."""
    kind = NAMES.get(statement.predicate_type)
    if kind is None:
        raise RejectedError(
            Joint.PREDICATE,
            f"the type {statement.predicate_type!r} is not known",
            fix=f"known are {', '.join(NAMES)}",
        )
    return kind


def check_predicate(statement: Statement) -> str:
    """Return the kind of STATEMENT's predicate when it says what its kind must.

    Raises RejectedError when it does not, or contradicts the subjects.
    """
    kind = kind_of(statement)
    try:
        _CHECKS[kind](statement, statement.predicate)
        build_of(statement)
        time_of(statement)
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise RejectedError(
            Joint.PREDICATE, f"it is not a {kind}: {type(error).__name__} {error}"
        ) from None
    return kind


def _check_provenance(_: Statement, predicate: Mapping[str, Any]) -> None:
    definition = predicate["buildDefinition"]
    demand(
        definition["buildType"] == BUILD_TYPE,
        Joint.PREDICATE,
        f"its buildType is {definition['buildType']!r}, not {BUILD_TYPE!r}",
    )
    demand(
        isinstance(definition["externalParameters"], dict), Joint.PREDICATE, "it has no parameters"
    )
    demand(definition["resolvedDependencies"], Joint.PREDICATE, "it has no dependencies")
    builder = predicate["runDetails"]["builder"]["id"]
    demand(builder == BUILDER, Joint.PREDICATE, f"its builder is {builder!r}, not {BUILDER!r}")


def _check_root_hash(statement: Statement, predicate: Mapping[str, Any]) -> None:
    root = predicate["verity"]["root_hash"]
    _same("the root hash", f"sha256:{root}", statement.subjects["sealed"])
    _same("the machine hash", predicate["machineHash"], statement.subjects["snapshot"])
    demand(DRIVE in statement.subjects, Joint.PREDICATE, "the drive is not among its subjects")


def _check_run_once(statement: Statement, predicate: Mapping[str, Any]) -> None:
    _same("the machine hash", predicate["machineHash"], statement.subjects["snapshot"])
    demand(predicate["execution"]["same"] is True, Joint.PREDICATE, "it does not say the same")
    _check_builder(predicate)


def _check_rebuild(_: Statement, predicate: Mapping[str, Any]) -> None:
    demand(predicate["same"] is True, Joint.PREDICATE, "it does not say the same")
    demand(predicate["resolvedDependencies"], Joint.PREDICATE, "it does not say of what")
    extent = predicate.get("rebuilt", Rebuilt.PROJECT)  # vcr did not say it before
    demand(
        extent in {Rebuilt.PROJECT, Rebuilt.TOOLCHAIN},
        Joint.PREDICATE,
        f"what it built again is {extent!r}, not {Rebuilt.PROJECT} or {Rebuilt.TOOLCHAIN}",
    )
    _check_builder(predicate)


def _check_builder(predicate: Mapping[str, Any]) -> None:
    demand(predicate["builder"]["id"] == BUILDER, Joint.PREDICATE, "its builder is unknown")


def _check_sbom(_: Statement, predicate: Mapping[str, Any]) -> None:
    version = predicate["spdxVersion"]
    demand(version == SPDX_VERSION, Joint.PREDICATE, f"it is {version!r}, not {SPDX_VERSION}")
    demand(predicate["packages"], Joint.PREDICATE, "it has no packages")


def _check_cyclonedx(_: Statement, predicate: Mapping[str, Any]) -> None:
    version = (predicate["bomFormat"], predicate["specVersion"])
    wanted = ("CycloneDX", CYCLONEDX_VERSION)
    demand(version == wanted, Joint.PREDICATE, f"it is {version!r}, not {wanted!r}")
    demand(isinstance(predicate["components"], list), Joint.PREDICATE, "it has no components")


def _same(what: str, said: str, subject: str) -> None:
    if said != subject:
        raise RejectedError(
            Joint.PREDICATE, f"{what} is not that of the subject", expected=subject, got=said
        )


_CHECKS: dict[str, Callable[[Statement, Mapping[str, Any]], None]] = {
    "provenance": _check_provenance,
    "root-hash": _check_root_hash,
    "run-once": _check_run_once,
    "rebuild": _check_rebuild,
    "sbom": _check_sbom,
    "cyclonedx": _check_cyclonedx,
}
