"""`vcr attest`: statements about a build, signed; `verify` and `keygen` beside it."""

import datetime as dt
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vcr.attest.providers import ENCLAVE_PROVIDERS, PROVIDERS
from vcr.cli.context import App, Command, arch_of, engine_option, plan_options, project_argument
from vcr.cli.proving.attest_verify import verify
from vcr.errors import UsageError

if TYPE_CHECKING:  # pydantic and cryptography cost 300 ms at import
    from vcr.attest.dsse import Envelope
    from vcr.attest.make import Maker
    from vcr.attest.providers import Evidence, Provider
    from vcr.attest.providers.command import Command as Service

PREDICATES = ("provenance", "root-hash", "run-once", "sbom")  # `vcr verify --sign`: rebuild
MAKE = "make"

a_file = click.Path(path_type=Path, dir_okay=False)


class _Group(Command, click.Group):
    """`vcr attest DIR` is `vcr attest make DIR`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in {"-h", "--help"}):
            args = [MAKE, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Group)
def attest() -> None:
    """State what a project builds to, signed, for strangers to verify.

    `vcr attest [DIR]` is `vcr attest make [DIR]`; each has its own --help.
    """


@attest.command(MAKE, cls=Command, short_help="Build, and state something of the ladder.")
@project_argument
@click.option(
    "--predicate",
    type=click.Choice(PREDICATES),
    default=PREDICATES[0],
    help="What to state: how it was built; the drive's root hash; that the machine,"
    " executed again, is the same; what is in it.",
)
@click.option("--key", type=a_file, metavar="FILE", help="Sign with this private key.")
@click.option("--output", type=a_file, metavar="FILE", help="Write it here (default: stdout).")
@click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    default=PROVIDERS[0],
    help="Who vouches besides the key: nobody, an enclave that runs the build, emulated here"
    " or on Nitro, or the service of vcr.toml. What it answers is written beside the output.",
)
@click.option("--service", metavar="TEXT",
              help="With --provider command: this program with its words, or this address, and not"
              " vcr.toml's.")  # fmt: skip
@click.option("--nonce", metavar="HEX", help="The challenge that the provider answers.")
@click.option("--enclave", is_flag=True, help="Of its enclave image, too; an enclave implies it.")
@click.option("--time", metavar="TIME", help="Say when: `now`, or as 2026-11-26T00:00:00Z.")
@plan_options
@engine_option
@click.pass_obj
def make(  # noqa: PLR0913 -- one for each option
    app: App,
    *,
    predicate: str,
    key: Path | None,
    output: Path | None,
    provider: str,
    service: str | None,
    nonce: str | None,
    enclave: bool,
    time: str | None,
    profile: str,
    arch: str | None,
    engine: str | None,
) -> None:
    """Build the project in DIR and state something about its ladder, signed."""
    from vcr.attest.dsse import sign
    from vcr.attest.keys import read_private

    if key is None:
        raise UsageError(
            "there is nothing to sign with", fix="`vcr attest keygen NAME`, then --key"
        )
    if output is None and (provider != PROVIDERS[0] or nonce is not None):
        raise UsageError("evidence is written beside the statement", fix="name a file: --output")
    private, challenge, when = read_private(key), read_nonce(nonce), read_time(time)
    enclave = enclave or provider in ENCLAVE_PROVIDERS
    if enclave and profile != "prod":
        raise UsageError("an enclave goes on from a sealed snapshot", fix="add --profile prod")
    asked = _service(app, service) if provider == "command" else None
    extra = ("emulation",) if provider == "emulated" else ()
    maker = _build(app, profile, arch, engine, enclave=enclave, extra=extra)
    statement = maker.statement(predicate, when)
    envelope = sign(statement.to_bytes(), [private])
    proof = None
    if provider != PROVIDERS[0] or challenge is not None:
        given = asked and replace(asked, envelope=envelope.to_bytes())
        chosen = given or _provider(app, provider, maker, key)
        proof = _prove(app, chosen, maker, envelope, challenge)
    _write(app, envelope, output, provider, proof)


@attest.command("keygen", cls=Command, short_help="Make a key pair.")
@click.argument("name", type=click.Path(path_type=Path))
@click.pass_obj
def keygen(app: App, name: Path) -> None:
    """Make a new key pair, NAME.key (keep it) and NAME.pub (give it away)."""
    from vcr.attest.keys import create_pair, key_id, read_public

    private, public = create_pair(name)
    ident = key_id(read_public(public))
    if app.ui.is_json:
        app.ui.json("keygen", {"private": str(private), "public": str(public), "keyid": ident})
        return
    app.ui.table([("private", str(private)), ("public", str(public)), ("id", ident)])


attest.add_command(verify)


def read_nonce(text: str | None) -> bytes | None:
    """Read a nonce in hex; raises UsageError."""
    try:
        return None if text is None else bytes.fromhex(text)
    except ValueError:
        raise UsageError(f"--nonce {text} is not hex") from None


def read_time(text: str | None) -> str | None:
    """Return the time that a statement is said to be of; raises UsageError."""
    from vcr.attest.checks.rejected import RejectedError
    from vcr.attest.predicates import parse_time

    if text == "now":
        return f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
    try:
        if text is not None:
            parse_time(text)
    except RejectedError as error:
        raise UsageError(f"--time {text} is wrong", why=error.why) from None
    return text


def _build(
    app: App,
    profile: str,
    arch: str | None,
    engine: str | None,
    *,
    enclave: bool,
    extra: tuple[str, ...],
) -> "Maker":
    from vcr.attest.make import Maker
    from vcr.build.builder import Builder
    from vcr.model.profile import PROFILES

    project, plan = app.prepare(arch=arch_of(arch, profile), profile=profile, engine=engine)
    if enclave:
        from vcr.app.building.build import check_enclave

        check_enclave(plan.machine.engine)
    stages = PROFILES[profile].stages(arch=plan.arch, enclave=enclave)
    builder = Builder(app.settings, app.ui, project)
    return Maker(builder, builder.build(plan, (*stages, *extra)))


def _service(app: App, given: str | None) -> "Service":
    """Return the service that is GIVEN, else vcr.toml's; raises UsageError.

    A program is not vcr.toml's to name: whoever wrote that may be a stranger.
    """
    from vcr.attest.providers.command import Command as Service

    if given is not None:
        return Service.of(given)
    named = app.load_project().config.attest
    if named.command:
        raise UsageError(
            "vcr.toml: [attest] command is a program that would run on this host, as you",
            why=f"it says {shlex.join(named.command)}",
            fix="if that is what you want, say so: --service 'PROGRAM WORD...'",
        )
    if not named.url:
        raise UsageError(
            "there is no service to give the statement to",
            fix="name it: --service 'PROGRAM WORD...' or --service https://...",
        )
    return Service(url=named.url)


def _provider(app: App, name: str, maker: "Maker", key: Path) -> "Provider":
    from vcr.attest.keys import key_id, read_private
    from vcr.attest.providers.nitro import Nitro
    from vcr.attest.providers.software import Software
    from vcr.tools.nbdkit import Nbdkit
    from vcr.tools.nix import Nix

    if name == "nitro":
        return Nitro(nbdkit=Nbdkit.of_toolset(Nix(app.settings).toolset("nbd")))
    if name == "emulated":
        return _emulated(maker)
    private = read_private(key)
    public = private.public_key()
    return Software(private, {key_id(public): public}, dt.datetime.now(dt.UTC))


def _emulated(maker: "Maker") -> "Provider":
    from vcr.attest.providers.emulated import Emulated
    from vcr.engines.enclave.machine import EnclaveMachine
    from vcr.engines.registry import load_machine

    machine = load_machine(maker.built.path("emulation"))
    assert isinstance(machine, EnclaveMachine)  # noqa: S101 -- for mypy: it is of that stage
    return Emulated(machine.setup)


def _prove(
    app: App, provider: "Provider", maker: "Maker", envelope: "Envelope", nonce: bytes | None
) -> "Evidence":
    """Get evidence that binds to ENVELOPE's statement, and check it before it is kept."""
    from vcr.attest.providers import report_data

    launch = provider.measure(maker.parts)
    bound = report_data(envelope.payload)
    with app.ui.step("evidence") as step:
        step.line(f"asking {provider.name}")
        with provider.run(launch) as session:
            evidence = session.attest(bound, nonce)
        step.because(f"from {provider.name}")
    provider.verify(evidence, launch, report_data=bound, nonce=nonce, at=dt.datetime.now(dt.UTC))
    return evidence


def _write(
    app: App, envelope: "Envelope", output: Path | None, provider: str, proof: "Evidence | None"
) -> None:
    from vcr.atomic import write_bytes

    files = []
    if output is not None and proof is not None:
        beside = output.with_name(f"{output.name}.{provider}")
        parts = {"": proof.blob, **{f".{name}": data for name, data in proof.collateral.items()}}
        for suffix, data in parts.items():
            files.append(beside.with_name(f"{beside.name}{suffix}"))
            write_bytes(files[-1], data)
    data = envelope.to_bytes()
    if output is not None:
        write_bytes(output, data)
        files.insert(0, output)
    if app.ui.is_json:
        content = {"envelope": json.loads(data), "files": [str(file) for file in files]}
        app.ui.json("attest", content)
    elif output is None:
        app.ui.document(data.decode().rstrip("\n"))
    for file in files:
        app.ui.note(f"{file} written")
