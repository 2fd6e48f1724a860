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
from vcr.errors import HostError, MismatchError
from vcr.settings import Settings
from vcr.tools.nix_failure import build_failure, evaluation_failure, fill_failure
from vcr.tools.nix_log import Follower, Layer, Lines, NixLog, read_layers, store_name

type LineSink = Callable[[str], None]

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
            raise evaluation_failure(result)
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
            raise fill_failure(result)

    def realise(
        self, drv: Path, root: Path | None, show: LineSink | Follower, *, timeout: float = 0
    ) -> NixLog:
        """Build DRV, or take it from a cache; register ROOT, a symlink, as its GC root.

        SHOW takes lines, or what happens.

        TIMEOUT is for each derivation, in seconds; 0 is none. Raises VcrError.
        """
        argv: list[process.Arg] = [drv]
        if root is not None:
            root.parent.mkdir(parents=True, exist_ok=True)
            argv += ["--add-root", root]
        return self._realise(argv, Lines(show) if callable(show) else show, timeout)

    def realise_all(
        self, drvs: Sequence[Path], follower: Follower, *, timeout: float = 0
    ) -> NixLog:
        """Build DRVS, as many at once as this host has CPUs; as `realise`, but without roots."""
        return self._realise(drvs, follower, timeout)

    def _realise(self, words: Sequence[process.Arg], follower: Follower, timeout: float) -> NixLog:
        argv: list[process.Arg] = ["nix-store", "--realise", *words]
        argv += ["--log-format", "internal-json", "-v", "--max-jobs", "auto"]
        argv += ["--timeout", str(math.ceil(timeout))] if timeout else []
        log = NixLog(follower)
        result = process.run(argv, env=self.env(), ok=None, on_stderr=log.feed)
        if result.returncode:
            raise build_failure(result, log)
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
