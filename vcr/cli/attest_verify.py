"""`vcr attest verify`: do statements and evidence hold, and are they enough."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.cli.app import App, Command
from vcr.errors import UsageError

if TYPE_CHECKING:  # pydantic and cryptography cost 300 ms at import
    from vcr.attest.checker import Verdict
    from vcr.attest.demand import Demand

MAX_FILE = 64 << 20  # bytes

a_file = click.Path(path_type=Path, dir_okay=False)


@click.command("verify", cls=Command, short_help="Verify statements and evidence.")
@click.argument("files", nargs=-1, required=True, type=a_file, metavar="FILE...")
@click.option("--policy", type=a_file, metavar="FILE", help="What is demanded, as TOML.")
@click.option(
    "--key",
    "keys",
    type=a_file,
    multiple=True,
    metavar="FILE",
    help="Trust this public key; may be repeated.",
)
@click.option(
    "--threshold",
    type=click.IntRange(1, 64),
    metavar="N",
    help="How many different keys must vouch for the ladder (default: 1).",
)
@click.option("--ladder", type=a_file, metavar="FILE", help="The ladder that it must be about.")
@click.option("--at", metavar="TIME", help="Verify as of then, as 2026-11-26T00:00:00Z.")
@click.option("--max-age", metavar="TIME", help="How old evidence may be, such as 5m.")
@click.option("--nonce", metavar="HEX", help="The challenge that evidence must answer.")
@click.option(
    "--pcr",
    "registers",
    multiple=True,
    metavar="N=HEX",
    help="A register of the enclave; may be repeated. `sealed` stands for the root hash.",
)
@click.option("--pcrs", type=a_file, metavar="FILE", help="Registers, as nitro-cli prints them.")
@click.option("--root", type=a_file, metavar="PEM", help="For tests: not AWS's root, but this.")
@click.option("--rebuild", is_flag=True, help="Also build the project (of -C) anew and compare.")
@click.pass_obj
def verify(  # noqa: PLR0913 -- one for each option
    app: App,
    *,
    files: tuple[Path, ...],
    policy: Path | None,
    keys: tuple[Path, ...],
    threshold: int | None,
    ladder: Path | None,
    at: str | None,
    max_age: str | None,
    nonce: str | None,
    registers: tuple[str, ...],
    pcrs: Path | None,
    root: Path | None,
    rebuild: bool,
) -> None:
    """Verify statements and evidence, offline; a rejection (exit 3) names the joint.

    A FILE is an envelope, a Nitro document, or what a service answered.
    """
    from vcr.attest.checker import verify_files  # noqa: PLC0415

    wanted = _demand(policy, keys, threshold, ladder, may_be_none=bool(registers or pcrs))
    nitro = replace(
        wanted.nitro,
        pcrs={**wanted.nitro.pcrs, **_registers(registers, pcrs)},
        nonce=wanted.nitro.nonce if nonce is None else _hex(nonce, "--nonce"),
        max_age=wanted.nitro.max_age if max_age is None else _seconds(max_age),
        root=wanted.nitro.root if root is None else _test_root(app, root),
        required=wanted.nitro.required or bool(registers or pcrs or max_age),
    )
    moment = dt.datetime.now(dt.UTC) if at is None else _time(at)
    contents = [(str(path), read_input(path)) for path in files]
    verdict = verify_files(contents, replace(wanted, nitro=nitro), moment)
    if rebuild:
        _rebuild(app, verdict)
    _report(app, verdict, nitro.pcrs)


def _demand(
    policy: Path | None,
    keys: tuple[Path, ...],
    threshold: int | None,
    ladder: Path | None,
    *,
    may_be_none: bool,
) -> "Demand":
    from vcr.attest.demand import Demand  # noqa: PLC0415
    from vcr.attest.keys import read_trusted  # noqa: PLC0415
    from vcr.verify.ladders import read_claim  # noqa: PLC0415

    if policy is None and not keys and not may_be_none:
        raise UsageError(
            "nobody is trusted yet",
            why="statements are believed because of who signed them",
            fix="name public keys: --key FILE, or a policy: --policy FILE",
        )
    wanted = Demand() if policy is None else _policy(policy)
    wanted = replace(wanted, trusted={**wanted.trusted, **read_trusted(keys)})
    if threshold is not None:
        wanted = replace(wanted, threshold=threshold)
    if ladder is not None:
        rungs = {rung.name: str(rung.digest) for rung in read_claim(ladder).ladder}
        wanted = replace(wanted, ladder=rungs)
    return wanted


def _policy(path: Path) -> "Demand":
    from vcr.attest.policy import read_policy  # noqa: PLC0415 -- pydantic costs 200 ms

    return read_policy(path)


def _registers(words: tuple[str, ...], file: Path | None) -> dict[int, bytes]:
    """Read --pcr and --pcrs; raises UsageError."""
    from vcr.attest.pcr import parse_index, parse_register  # noqa: PLC0415

    told = dict(_measurements(file)) if file else {}
    told |= {index: value for index, _, value in (word.partition("=") for word in words)}
    found = {}
    for index, value in told.items():
        try:
            register = parse_register(value)
            assert isinstance(register, bytes)  # noqa: S101 -- for mypy: VALUE is text
            found[parse_index(index)] = register
        except ValueError as error:
            raise UsageError(f"PCR {index}={value} is wrong", why=str(error)) from None
    return found


def _measurements(file: Path) -> dict[str, str]:
    """Read {"Measurements": {"PCR0": HEX, ...}}, or what is inside it; raises UsageError."""
    try:
        content = json.loads(read_input(file))
        rows = content.get("Measurements", content)
        found = {k.removeprefix("PCR"): str(v) for k, v in rows.items() if k.startswith("PCR")}
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{file} holds no registers", why=str(error)) from None
    if not found:
        raise UsageError(f"{file} holds no registers", fix='as in {"PCR0": "HEX", ...}')
    return found


def _test_root(app: App, path: Path) -> str:
    """Return the digest of the root certificate at PATH, and warn; raises UsageError."""
    import hashlib  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    try:
        certificate = x509.load_pem_x509_certificate(read_input(path))
    except ValueError as error:
        raise UsageError(f"{path} is not a certificate in PEM", why=str(error)) from None
    app.ui.warn(
        f"--root {path}: documents of THIS root are accepted, not those of AWS; "
        "they prove nothing about an enclave"
    )
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _rebuild(app: App, verdict: "Verdict") -> None:
    """Build what the statements are about anew; raises MismatchError when it differs."""
    from vcr.attest.make import ladder_of  # noqa: PLC0415
    from vcr.attest.predicates import build_of  # noqa: PLC0415
    from vcr.cli.verify import compare_rebuilt  # noqa: PLC0415
    from vcr.verify.ladders import claim_of  # noqa: PLC0415

    for said in verdict.said:
        words = build_of(said.statement)
        if words is not None:
            compare_rebuilt(app, claim_of(words, ladder_of(said.statement)))
            return
    raise UsageError(
        "no statement says what to build",
        fix="give one of another predicate, such as provenance, too",
    )


def _report(app: App, verdict: "Verdict", demanded: Mapping[int, bytes]) -> None:
    from vcr.attest.evidence import has_registers  # noqa: PLC0415
    from vcr.attest.nitro import EVIDENCE_TYPE  # noqa: PLC0415

    is_measured = {0, 1, 2} <= set(demanded) or has_registers(verdict.ladder)
    if any(p.kind == EVIDENCE_TYPE for p in verdict.proofs) and not is_measured:
        app.ui.warn(
            "PCR0, PCR1 and PCR2 are not all demanded: another enclave could have made the document"
        )
    if app.ui.is_json:
        said = [
            {"file": one.file, "predicate": one.kind, "signers": sorted(one.signers)}
            for one in verdict.said
        ]
        proofs = [{"file": p.file, "type": p.kind, "about": p.words} for p in verdict.proofs]
        content = {"holds": True, "statements": said, "evidence": proofs}
        app.ui.json("attest-verify", {**content, "ladder": dict(verdict.ladder)})
        return
    rows = [
        (one.file, one.kind, "signed by " + ", ".join(sorted(s[:12] for s in one.signers)))
        for one in verdict.said
    ]
    app.ui.table(rows + [(proof.file, proof.kind, proof.words) for proof in verdict.proofs])


def read_input(path: Path) -> bytes:
    """Return what is in a statement or evidence at PATH; raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}", why=error.strerror or str(error)) from None
    if len(data) > MAX_FILE:
        raise UsageError(f"{path} is too large", why=f"at most {MAX_FILE} bytes are read")
    return data


def _hex(text: str, option: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"{option} {text} is not hex") from None


def _seconds(text: str) -> float:
    from vcr.model.duration import parse_duration  # noqa: PLC0415

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--max-age {text} is wrong", why=str(error)) from None


def _time(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--at {text} is wrong", why=str(error)) from None
    if found.tzinfo is None:
        raise UsageError(f"--at {text} says no time zone", fix="as in 2026-11-26T00:00:00Z")
    return found
