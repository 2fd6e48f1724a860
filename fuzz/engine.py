"""Fuzzes one target for a while: changes inputs, and goes on with what reaches something new."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz import corpus, worker
from fuzz.coverage import Coverage
from fuzz.limits import Finding
from fuzz.mutate import Mutator
from fuzz.target import Target

MOST_FINDINGS = 12  # of a target and run
TRIES_TO_SHORTEN = 120


@dataclass
class Result:
    """How a run went."""

    executions: int = 0
    reached: int = 0  # lines and ways out of branches of vcr
    inputs: int = 0  # that reached something of their own
    findings: dict[tuple[str, str, str], Path] = field(default_factory=dict)


def fuzz(
    target: Target, seconds: float, cache: Path, said: Callable[[str], None], *, keep: bool = True
) -> Result:
    """Fuzz TARGET for so many SECONDS; KEEP what is found in the corpus."""
    result, end = Result(), time.monotonic() + seconds
    interesting = corpus.Interesting(cache, target.name)
    known: set[tuple[str, str]] = set()
    while (left := end - time.monotonic()) > 0 and len(result.findings) < MOST_FINDINGS:
        before = result.executions
        for told in worker.run(target, lambda inputs: _loop(inputs, left, interesting, known)):  # noqa: B023
            _take(told, before, target, result, said, keep=keep)
        known = {(kind, where) for kind, where, _ in result.findings}
    return result


def _take(
    told: dict[str, Any],
    before: int,
    target: Target,
    result: Result,
    said: Callable[[str], None],
    *,
    keep: bool,
) -> None:
    """Take what a worker TOLD into RESULT."""
    if "executions" in told:
        result.executions = before + told["executions"]
        result.reached, result.inputs = told["reached"], told["inputs"]
        return
    data = bytes.fromhex(told["data"])
    key = (told["kind"], told["where"], told["what"][:40])
    if key not in result.findings:
        path = corpus.keep(target.name, told["kind"], data) if keep else Path()
        result.findings[key] = path
        said(
            f"{target.name}: {told['kind']} at {told['where']}: {told['what']} ({len(data)} bytes)"
        )


def replay(target: Target, inputs: Iterable[bytes]) -> Iterator[Finding]:
    """Try INPUTS on TARGET, each once; yield what is found."""

    def job(child: worker.Inputs) -> None:
        for data in inputs:
            finding = child.attempt(data)
            if finding is not None:
                child.found(finding, data)

    for told in worker.run(target, job):
        yield Finding(told["kind"], told["what"], told["where"])


def _loop(
    child: worker.Inputs,
    seconds: float,
    interesting: corpus.Interesting,
    known: set[tuple[str, str]],
) -> None:
    """Fuzz in this process. KNOWN findings, by kind and place, are passed over."""
    random.seed()
    coverage, mutator = Coverage(), Mutator(child.target)
    end, told = time.monotonic() + seconds, 0.0
    seeds = [*child.target.seeds(), *(data for _, data in corpus.kept(child.target.name))]
    pool: list[bytes] = []
    waiting = [*reversed(interesting.load()), *reversed(seeds)]
    first = len(waiting)
    while (now := time.monotonic()) < end and len(known) < MOST_FINDINGS:
        data = waiting.pop() if waiting else _next(child.target, mutator, pool)
        before = coverage.count
        finding = child.attempt(data)
        if finding is not None and (finding.kind, finding.where) not in known:
            known.add((finding.kind, finding.where))
            child.found(finding, _shortened(child, finding, data))
        elif finding is None and coverage.count > before:
            pool.append(data)
            if child.count > first:
                interesting.add(data)
        if now - told > 1:
            told = now
            child.report(executions=child.count, reached=coverage.count, inputs=len(pool))
    child.report(executions=child.count, reached=coverage.count, inputs=len(pool))


def _next(target: Target, mutator: Mutator, pool: list[bytes]) -> bytes:
    if target.make is not None and random.random() < 0.3:
        return target.make()[: target.most]
    pool = pool or list(target.seeds())
    at = -1 - int(random.random() ** 2 * len(pool))  # rather one of the last
    return mutator.change(pool[at], random.choice(pool))


def _shortened(child: worker.Inputs, finding: Finding, data: bytes) -> bytes:
    """Return a part of DATA that is found as well."""
    if finding.kind == "hang":
        return data  # every try would take as long
    tries, size = 0, len(data) // 2
    while size and tries < TRIES_TO_SHORTEN:
        at, shorter = 0, False
        while at < len(data) and tries < TRIES_TO_SHORTEN:
            part = data[:at] + data[at + size :]
            tries += 1
            again = child.attempt(part)
            if again is not None and (again.kind, again.where) == (finding.kind, finding.where):
                data, shorter = part, True
            else:
                at += size
        size = size if shorter and size > 1 else size // 2
    return data
