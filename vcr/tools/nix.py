"""Nix: evaluates vcr's expressions, fills missing pins, builds, keeps GC roots.

Evaluation is one `nix build --dry-run`, which also tells what is missing, so a
build with nothing to do starts Nix once. Every byte is fetched by hash before
the sandbox runs (nix/pins/fill); builds themselves have no network.
"""

import base64
import grp
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.errors import ExitCode, FetchError, HostError, MismatchError, VcrError
from vcr.settings import Settings
from vcr.tools.nix_log import Follower, Layer, Lines, NixLog, read_layers, read_report, store_name
from vcr.words import counted

type LineSink = Callable[[str], None]

# Nix's own exit codes: https://nix.dev/manual/nix/latest/command-ref/nix-store/realise
# (102: a fixed-output hash differs; 104: a rebuild was not bit for bit the same).
_TIMED_OUT = 101
_EXIT_CODES = {102: ExitCode.FETCH, 104: ExitCode.MISMATCH}
_REPORTED_CODES = {"lock": ExitCode.LOCK, "unhealthy": ExitCode.UNHEALTHY}  # of vcr.formats.failure
_MISSING_DRV = re.compile(r"^\s+(/nix/store/\S+\.drv)$")

# What nix/lib/setup.sh sets, too; here for those who start with `nix run`. It comes
# after what the user has set: no ambient value may take the sandbox away.
NIX_CONFIG = """\
experimental-features = nix-command flakes
sandbox = true
sandbox-fallback = false
sandbox-paths =
require-sigs = true
"""
EXPRESSIONS = Path(__file__).resolve().parents[2] / "nix"  # beside the package
BUILD_USERS = "nixbld"  # the group whose members Nix builds as when it is root


@dataclass(frozen=True)
class Target:
    """One evaluated attribute of nix/default.nix."""

    attr: str
    drv: Path
    out: Path
    is_built: bool  # the output is in the store, whole


@dataclass(frozen=True)
class Evaluation:
    """Targets, and the derivations that would have to be built for them."""

    targets: tuple[Target, ...]
    missing: tuple[Path, ...]
    layers: tuple[Layer, ...] = ()  # of the plan, in the order of their ids, if a target says so


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


@dataclass(frozen=True)
class Nix:
    """The Nix on this host, set up so that nothing ambient changes bytes."""

    settings: Settings

    @property
    def directory(self) -> Path:
        """Return the directory of vcr's Nix expressions."""
        return EXPRESSIONS

    def evaluate(self, attrs: Sequence[str], plan: Path | None = None) -> Evaluation:
        """Evaluate ATTRS of nix/default.nix; raises HostError without Nix, VcrError otherwise."""
        argv: list[process.Arg] = ["nix", "build", "--dry-run", "--json"]
        argv += ["-f", self.directory / "default.nix"]
        if plan is not None:
            argv += ["--argstr", "plan", plan]
        result = process.run([*argv, *attrs], env=self.env(), ok=None)
        if result.returncode:
            raise _evaluation_failure(result)
        rows = json.loads(result.stdout)
        found = (_MISSING_DRV.match(line) for line in result.stderr.splitlines())
        missing = tuple(Path(match.group(1)) for match in found if match)
        targets = []
        for attr, row in zip(attrs, rows, strict=True):
            drv, out = Path(row["drvPath"]), Path(row["outputs"]["out"])
            # A path may exist without being valid, after a build was killed.
            targets.append(Target(attr, drv, out, drv not in missing and out.exists()))
        return Evaluation(tuple(targets), missing, read_layers(result.stderr))

    def fill(self, missing: Sequence[Path], show: LineSink) -> None:
        """Supply the fixed-output files among the MISSING derivations; raises FetchError."""
        argv: list[process.Arg] = [self.directory / "pins" / "fill"]
        if self.settings.pins_from is not None:
            argv += ["--from", self.settings.pins_from.absolute()]
        drvs = "".join(f"{drv}\n" for drv in missing).encode()
        result = process.run(argv, env=self.env(), stdin=drvs, ok=None, on_stderr=show)
        if result.returncode:
            raise _fill_failure(result)

    def realise(
        self, drv: Path, root: Path | None, show: LineSink | Follower, *, timeout: float = 0
    ) -> NixLog:
        """Build DRV, or take it from a cache; register ROOT, a symlink, as its GC root.

        SHOW takes lines, or what happens.

        TIMEOUT is for each derivation, in seconds; 0 is none. Raises VcrError.
        """
        argv: list[process.Arg] = ["nix-store", "--realise", drv, "--log-format", "internal-json"]
        argv += ["-v", "--max-jobs", "auto"]
        argv += ["--timeout", str(math.ceil(timeout))] if timeout else []
        if root is not None:
            root.parent.mkdir(parents=True, exist_ok=True)
            argv += ["--add-root", root]
        log = NixLog(Lines(show) if callable(show) else show)
        result = process.run(argv, env=self.env(), ok=None, on_stderr=log.feed)
        if result.returncode:
            raise _build_failure(result, log)
        return log

    def check(self, drv: Path, show: LineSink) -> None:
        """Build DRV once more and compare with the store.

        Raises MismatchError when the bytes differ, VcrError when the build fails.
        """
        argv: list[process.Arg] = ["nix-store", "--realise", "--check", drv]
        result = process.run(argv, env=self.env(), ok=None, on_stderr=show)
        if "may not be deterministic" in result.stderr:
            raise MismatchError(f"{store_name(str(drv))} gives other bytes")
        if result.returncode:
            raise process.failure(result)

    def build(self, attr: str, show: LineSink, *, plan: Path | None = None) -> Path:
        """Build one ATTR of nix/default.nix, with a GC root, and return its output."""
        evaluation = self.evaluate([attr], plan)
        (target,) = evaluation.targets
        root = self.settings.state_dir / "roots" / "tools" / attr
        if not target.is_built or root.resolve() != target.out:
            self.fill(evaluation.missing, show)
            self.realise(target.drv, root, show)
        return target.out

    def toolset(self, name: str, show: LineSink = lambda _: None) -> Path:
        """Return the store path of a toolset of nix/toolsets.nix, built if need be."""
        return self.build(name, show)

    def try_sandbox(self) -> None:
        """Build something trivial; raises VcrError when the sandbox does not work here."""
        # A builder that cannot be executed still needs the sandbox to be set up first,
        # and "No such file" is then what the sandbox itself says.
        expression = (
            'derivation { name = "vcr-try"; builder = "/vcr-try"; '
            "system = builtins.currentSystem; now = toString builtins.currentTime; }"
        )
        argv = ["nix-build", "--no-out-link", "--expr", expression]
        result = process.run(argv, env=self.env(), ok=None)
        if "No such file or directory" not in result.stderr:
            reason = result.stderr.strip().splitlines()
            raise HostError("the Nix sandbox does not work here", why=reason[-1] if reason else "")

    def sizes(self, path: Path) -> tuple[int, int]:
        """Return the bytes of the store PATH by itself and with all it refers to."""
        argv: list[process.Arg] = ["nix", "path-info", "--size", "--closure-size", path]
        _, size, closure = process.run(argv, env=self.env()).text.split()
        return int(size), int(closure)

    def add_fixed(self, *paths: Path, recursive: bool = False) -> None:
        """Add the files (or, recursively, the trees) at PATHS to the store by their hashes."""
        argv = ["nix-store", "--add-fixed", *(["--recursive"] if recursive else []), "sha256"]
        if paths:
            process.run([*argv, *paths], env=self.env())

    def hash_path(self, path: Path) -> str:
        """Return the NAR hash of the tree at PATH in SRI form, "sha256-<base64>"."""
        return process.run(["nix", "hash", "path", path], env=self.env()).text

    def fixed_path(self, sri: str, name: str) -> Path:
        """Return the store path of a tree with NAR hash SRI and NAME, there or not."""
        argv = ["nix-store", "--print-fixed-path", "--recursive", "sha256"]
        digits = base64.b64decode(sri.removeprefix("sha256-")).hex()
        return Path(process.run([*argv, digits, name], env=self.env()).text)

    def env(self) -> Mapping[str, str]:
        """Return the environment that sets Nix up."""
        config = f"{self.settings.env.get('NIX_CONFIG', '')}\n{NIX_CONFIG}"
        if self.settings.substituters:
            config += f"extra-substituters = {' '.join(self.settings.substituters)}\n"
        if self.settings.trusted_keys:
            config += f"extra-trusted-public-keys = {' '.join(self.settings.trusted_keys)}\n"
        try:
            grp.getgrnam(BUILD_USERS)
        except KeyError:
            config += "build-users-group =\n"
        return {"NIX_CONFIG": config}


def _evaluation_failure(result: process.Result) -> VcrError:
    failed = process.failure(result)
    if failed.code is ExitCode.HOST:
        return failed
    if "store path mismatch in (possibly filtered) path" in result.stderr:
        what, fix = "the build context changed while it was read", "let nothing write to it"
        return ContextError(what, fix=fix, code=ExitCode.USAGE)
    if "experimental" in result.stderr or "unrecognised flag" in result.stderr:
        return HostError("this Nix is too old", why="vcr needs Nix 2.8 or later", fix="update Nix")
    return VcrError("evaluating the Nix expressions failed", tail=failed.tail, fix=failed.fix)


def _fill_failure(result: process.Result) -> VcrError:
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


def _build_failure(result: process.Result, log: NixLog) -> VcrError:
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
