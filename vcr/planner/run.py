"""Plans RUN: what is executed, what it sees besides the layers, what it may ask for."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from vcr.dockerfile.context import Context
from vcr.dockerfile.mounts import integer, parse_mount, parse_size, placeholder
from vcr.dockerfile.state import State
from vcr.dockerfile.syntax import Instruction
from vcr.model.arch import Arch
from vcr.model.lockfile import Lock
from vcr.model.plan import Run, RunMount
from vcr.model.source import ContextSource, StageSource
from vcr.planner.copy import stage_path

# Variables that need no ARG to be set from outside and never reach the image.
PROXY_ARGS = frozenset(
    name
    for base in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    for name in (base, base.upper())
)
# Where BuildKit, too, puts a here-document that has an interpreter line.
SCRIPTS = "/dev/pipes"
SECRETS = "/run/secrets"  # https://docs.docker.com/reference/dockerfile/#run---mounttypesecret


@dataclass
class Runner:
    """Plans the RUNs of one Dockerfile."""

    context: Context
    lock: Lock
    target: Arch  # for which the answers of the network were locked
    pure_caches: Collection[str]
    # the layers of what `from=` names, bottom first
    layers_of: Callable[[str, State, Instruction], tuple[str, ...]]
    _carried: dict[str, str] = field(default_factory=dict)  # cache → last RUN that had it

    def plan(self, state: State, instruction: Instruction, ident: str) -> Run:
        """Plan one RUN, whose layer will be IDENT; raises UsageError."""
        network = instruction.flag("network") or "default"
        if network not in {"default", "none"}:
            raise instruction.mistake(
                f"--network={network} is not supported",
                why="a step that sees the host is different on another host",
                fix="use default or none",
            )
        _refuse_privileges(instruction)
        argv, script = _command(state, instruction)
        names = [*(name for name in state.args if name not in PROXY_ARGS), *state.env]
        variables = {name: state.variables[name] for name in names}
        # Programs that know it write no times: https://reproducible-builds.org/specs/source-date-epoch/
        variables.setdefault("SOURCE_DATE_EPOCH", str(self.lock.epoch))
        mounts = []
        for text in instruction.flags.get("mount", ()):
            options = parse_mount(state, instruction, text)
            if "env" in options:
                variables[options["env"]] = placeholder(_secret_id(instruction, options))
            if "env" not in options or "target" in options:
                mounts.append(self._mount(state, instruction, options, ident))
        run = Run(
            argv=argv,
            lower=tuple(state.layers),
            env=tuple(f"{name}={value}" for name, value in variables.items()),
            user=state.config.get("User", ""),
            workdir=state.workdir,
            arch=state.arch,
            script=script,
            mounts=tuple(mounts),
            network="none" if network == "none" else "default",
            origin=instruction.at.origin,
        )
        return self._with_lock(run)

    def _with_lock(self, run: Run) -> Run:
        locked = self.lock.runs.get(self.target, {}).get(run.key)
        if locked is None or run.network == "none":
            return run
        known = self.lock.bodies
        exchanges = tuple(e.planned(known[e.sha256].size) for e in locked.exchanges)
        bodies = {e.sha256: known[e.sha256].fetched(e.sha256) for e in exchanges}
        return replace(run, exchanges=exchanges, bodies=tuple(b for _, b in sorted(bodies.items())))

    def _mount(
        self, state: State, instruction: Instruction, options: dict[str, str], ident: str
    ) -> RunMount:
        match options["type"]:
            case "bind":
                return self._bind(state, instruction, options)
            case "cache":
                return self._cache(state, instruction, options, ident)
            case "tmpfs":
                size = parse_size(instruction, options.get("size", "0"))
                return RunMount("tmpfs", _target(state, instruction, options), size=size)
        secret = _secret_id(instruction, options)
        options.setdefault("target", f"{SECRETS}/{secret}")
        return RunMount(
            "secret",
            _target(state, instruction, options),
            mode=integer(instruction, options, "mode", 0o400, base=8),
            uid=integer(instruction, options, "uid", 0),
            gid=integer(instruction, options, "gid", 0),
            content=placeholder(secret),
        )

    def _bind(self, state: State, instruction: Instruction, options: dict[str, str]) -> RunMount:
        source, path = self._source(state, instruction, options)
        writable = "rw" in options
        target = _target(state, instruction, options)
        return RunMount("bind", target, source=source, path=path, writable=writable)

    def _cache(
        self, state: State, instruction: Instruction, options: dict[str, str], ident: str
    ) -> RunMount:
        target = _target(state, instruction, options)
        source, path = (None, "/")
        if "from" in options:
            source, path = self._source(state, instruction, options)
        name = options.get("id", target)
        carried = self._carried.get(name, "")
        is_pure = name in self.pure_caches
        if is_pure:
            self._carried[name] = ident
        return RunMount(
            "cache",
            target,
            source=source,
            path=path,
            writable="readonly" not in options,
            mode=integer(instruction, options, "mode", 0o755, base=8),
            uid=integer(instruction, options, "uid", 0),
            gid=integer(instruction, options, "gid", 0),
            carry=cache_name(name) if is_pure else "",
            carried_from=carried if is_pure else "",
        )

    def _source(
        self, state: State, instruction: Instruction, options: dict[str, str]
    ) -> tuple[ContextSource | StageSource, str]:
        """Return what is mounted, and the path in it."""
        text = options.get("source", "/")
        if "from" in options:
            layers = self.layers_of(options["from"], state, instruction)
            return StageSource("/", layers), stage_path(text)
        source = self.context.entry(text, instruction.at)
        return source, "/" if source.path == "." else f"/{source.path}"


def _refuse_privileges(instruction: Instruction) -> None:
    """Raise UsageError for what a step would need of the host that builds."""
    security = instruction.flag("security") or "sandbox"
    if security != "sandbox":
        raise instruction.mistake(
            f"--security={security} is not supported",
            why="a step already runs as root of its own machine",
            fix="leave it out",
        )
    if instruction.flags.get("device"):
        raise instruction.mistake(
            "--device is not supported",
            why="devices of one host do not exist on another",
            fix="leave it out",
        )


def cache_name(name: str) -> str:
    """Return what a cache's file is called."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-") or "cache"


def _target(state: State, instruction: Instruction, options: dict[str, str]) -> str:
    target = state.absolute(options.get("target", "."))  # without one, as in BuildKit
    if target == "/":
        raise instruction.mistake("--mount cannot cover the root", fix="choose another target")
    return target


def _secret_id(instruction: Instruction, options: dict[str, str]) -> str:
    secret = options.get("id") or options.get("target", "").rpartition("/")[2]
    if not secret:
        raise instruction.mistake("--mount=type=secret has no id", fix="write id=NAME")
    return secret


def _command(state: State, instruction: Instruction) -> tuple[tuple[str, ...], str]:
    """Return the argv of a RUN, and the script that it executes, if it is one."""
    docs = instruction.heredocs
    if docs and instruction.rest == docs[0].token:
        content = docs[0].content
        # A script with an interpreter line is executed, any other is for the shell.
        if content.startswith("#!"):
            return (f"{SCRIPTS}/{docs[0].name}",), content
        return (*state.shell, content), ""
    if docs and instruction.json is None:
        bodies = "".join(f"{doc.content}{doc.name}\n" for doc in docs)
        return (*state.shell, f"{instruction.rest}\n{bodies}"), ""
    return tuple(state.command(instruction)), ""
