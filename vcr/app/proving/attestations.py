"""Statements and evidence for a report, each verified on its own."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vcr.app.proving.inputs import read_input
from vcr.attest.checks.checker import verify_files
from vcr.attest.checks.demand import Demand
from vcr.attest.checks.rejected import RejectedError
from vcr.attest.keys import read_trusted
from vcr.attest.terms import Terms
from vcr.model.ladder import Rung
from vcr.report.page import Attested

SHOWN = 12  # digits of a key's id


def judge(
    files: Sequence[Path],
    keys: Sequence[Path],
    ladder: Sequence[Rung],
    terms: Terms | None = None,
    registers: Mapping[int, bytes] | None = None,
) -> tuple[Attested, ...]:
    """Verify FILES, now, by the public KEYS, as being about LADDER; raises UsageError.

    TERMS are what the ladder was built for; without them only releases hold. A document of an
    enclave must have REGISTERS. A statement has to hold alone; evidence, with those that do.
    """
    rungs = {rung.name: str(rung.digest) for rung in ladder}
    told = terms or {}
    wanted = Demand(trusted=read_trusted(keys), ladder=rungs, ladder_terms=told, build=told)
    wanted = replace(wanted, nitro=replace(wanted.nitro, pcrs=registers or {}))
    given = [(path.name, read_input(path)) for path in files]
    now = dt.datetime.now(dt.UTC)
    alone = [_judge([each], wanted, now) for each in given]
    holding = [each for each, judged in zip(given, alone, strict=True) if judged.holds]
    return tuple(
        judged if judged.holds else _judge([*holding, each], wanted, now)
        for each, judged in zip(given, alone, strict=True)
    )


def _judge(files: list[tuple[str, bytes]], wanted: Demand, at: dt.datetime) -> Attested:
    """Verify FILES together, and say what comes of the last."""
    name = files[-1][0]
    try:
        verdict = verify_files(files, wanted, at)
    except RejectedError as error:
        return Attested(name, holds=False, words=f"at the {error.joint}: {error.why}")
    if not verdict.proofs:
        said = verdict.said[-1]
        signers = ", ".join(sorted(key[:SHOWN] for key in said.signers))
        words = (f"{said.kind}, signed by {signers}", said.entries.words)
        return Attested(name, holds=True, words="; ".join(filter(None, words)))
    (proof,) = verdict.proofs  # what it is given with are statements
    return Attested(name, holds=proof.is_verified, words=proof.words, is_kept=not proof.is_verified)
