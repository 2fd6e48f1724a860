"""What Nix's failures mean: errors that say what a user can do."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vcr import process
from vcr.errors import ExitCode, FetchError, HostError, MismatchError, VcrError
from vcr.tools.nix_log import NixLog, read_report, store_name
from vcr.words import counted

# Nix's own exit codes: https://nix.dev/manual/nix/latest/command-ref/nix-store/realise
# (102: a fixed-output hash differs; 104: a rebuild was not bit for bit the same).
_TIMED_OUT = 101
_EXIT_CODES = {102: ExitCode.FETCH, 104: ExitCode.MISMATCH}
_REPORTED_CODES = {"lock": ExitCode.LOCK, "unhealthy": ExitCode.UNHEALTHY}  # of vcr.formats.failure


class BuilderError(VcrError):
    """A builder of vcr.sandbox failed for a reason the user can do something about."""

    def __init__(self, drv: Path, report: Mapping[str, str], tail: Sequence[str]) -> None:
        """Take the builder's REPORT; DRV is the derivation that failed, TAIL its last words."""
        super().__init__(
            report["what"],
            why=report["why"],
            fix=report["fix"],
            tail=tail,
            code=_REPORTED_CODES.get(report["code"]),
        )
        self.drv = drv
        self.facts = str(report.get("facts", ""))  # about an app that did not get healthy


class ContextError(VcrError):
    """The files of the build context are not those of the plan."""


class TimedOutError(VcrError):
    """A derivation took longer than it may."""

    def __init__(self, drv: Path, tail: Sequence[str]) -> None:
        """DRV is the derivation, TAIL its last words."""
        super().__init__(
            f"building {store_name(str(drv))} took longer than --timeout allows",
            fix="give it more time, or see its last output to find out what it waits for",
            tail=tail,
        )
        self.drv = drv


def evaluation_failure(result: process.Result) -> VcrError:
    """Return the error of an evaluation that failed with RESULT."""
    failed = process.failure(result)
    if failed.code is ExitCode.HOST:
        return failed
    if "store path mismatch in (possibly filtered) path" in result.stderr:
        what, fix = "the build context changed while it was read", "let nothing write to it"
        return ContextError(what, fix=fix, code=ExitCode.USAGE)
    if "experimental" in result.stderr or "unrecognised flag" in result.stderr:
        return HostError("this Nix is too old", why="vcr needs Nix 2.8 or later", fix="update Nix")
    return VcrError("evaluating the Nix expressions failed", tail=failed.tail, fix=failed.fix)


def fill_failure(result: process.Result) -> VcrError:
    """Read the `missing<TAB>name<TAB>hash<TAB>url` lines that nix/pins/fill ends with."""
    rows = [line.split("\t") for line in result.stderr.splitlines() if line.startswith("missing\t")]
    if not rows:
        failed = process.failure(result)
        if failed.code is ExitCode.HOST:
            return failed
        return FetchError("filling the pinned inputs failed", tail=failed.tail, fix=failed.fix)
    return FetchError(
        f"{counted(len(rows), 'pinned input')} cannot be fetched",
        details=[(row[1], row[2]) for row in rows[:10]],
        why="neither the canonical address nor a mirror in this host's settings has them",
        fix="check the network and run it again, or provide the files: `VCR_FROM=DIR vcr ...`\n"
        + "\n".join(row[3] for row in rows[:10]),
    )


def _cache_failure(log: NixLog) -> VcrError | None:
    """Say what a binary cache did wrong, None if it is not to blame."""
    forged = [error for error in log.errors if "hash mismatch importing path" in error]
    if not forged and not log.refused:
        return None
    how = "gave other bytes than it announced" if forged else "has no trusted signature"
    return MismatchError(
        f"a binary cache {how}",
        why=[*forged, *log.refused][0],
        fix="leave it out of VCR_SUBSTITUTERS, or name its key in VCR_TRUSTED_KEYS",
    )


def build_failure(result: process.Result, log: NixLog) -> VcrError:
    """Return the error of a build that failed with RESULT, of which LOG knows more."""
    if blamed := _cache_failure(log):
        return blamed
    drv = next((d for d in reversed(log.built) if any(d in e for e in log.errors)), "")
    drv = drv or (log.built[-1] if log.built else "")
    tail = list(log.tails.get(drv, ()))
    for line in reversed(tail):  # the builder's own comes last
        if report := read_report(line):
            said = [other for other in tail if other != line][-process.TAIL_LINES :]
            return BuilderError(Path(drv), report, said)
    text = "\n".join([*tail, *log.errors])
    if result.returncode == _TIMED_OUT:
        return TimedOutError(Path(drv), tail[-process.TAIL_LINES :])
    code = _EXIT_CODES.get(result.returncode, ExitCode.FAILED)
    if is_full := process.disk_full(f"building {store_name(drv)}" if drv else "Nix", text):
        return is_full
    return VcrError(
        f"building {store_name(drv)} failed" if drv else "the Nix build failed",
        why=log.errors[0] if log.errors else "",
        fix=f"the whole log: nix-store --read-log {drv}" if drv else "",
        tail=tail[-process.TAIL_LINES :],
        code=code,
    )
