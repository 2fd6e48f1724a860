"""`attest`: statements about a build, signed, and evidence that binds to them."""

import datetime as dt
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from vcr.app.building.build import check_enclave
from vcr.app.context import Context, Variant
from vcr.atomic import write_bytes
from vcr.attest.dsse import Envelope, sign
from vcr.attest.keys import create_pair, key_id, read_private, read_public
from vcr.attest.make import Maker
from vcr.attest.providers import ENCLAVE_PROVIDERS, PROVIDERS, Evidence, Provider, report_data
from vcr.attest.providers.command import Command as Service
from vcr.attest.providers.emulated import Emulated
from vcr.attest.providers.nitro import Nitro
from vcr.attest.providers.software import Software
from vcr.build.builder import Builder
from vcr.engines.enclave.machine import EnclaveMachine
from vcr.engines.registry import load_machine
from vcr.errors import UsageError
from vcr.model.profile import PROFILES
from vcr.tools.nbdkit import Nbdkit
from vcr.tools.nix import Nix

NOBODY = PROVIDERS[0]  # besides the key


@dataclass(frozen=True)
class AttestOptions:
    """What is stated of a build, and who vouches for it besides the key."""

    predicate: str = "provenance"  # or root-hash, run-once, sbom, cyclonedx
    provider: str = NOBODY
    service: Service | None = None  # of the provider command; None: the address of vcr.toml
    nonce: bytes | None = None  # the challenge that the provider answers
    enclave: bool = False  # of its enclave image, too; a provider that is an enclave implies it
    time: str | None = None  # that the statement has, as 2026-11-26T00:00:00Z


@dataclass(frozen=True)
class Attestation:
    """A signed statement, and evidence that binds to it."""

    envelope: Envelope
    provider: str
    evidence: Evidence | None

    def write(self, output: Path) -> tuple[Path, ...]:
        """Write the envelope to OUTPUT and evidence beside it; return the files."""
        files = {output: self.envelope.to_bytes()}
        if self.evidence is not None:
            beside = output.with_name(f"{output.name}.{self.provider}")
            files[beside] = self.evidence.blob
            for name, data in self.evidence.collateral.items():
                files[beside.with_name(f"{beside.name}.{name}")] = data
        for path in (*list(files)[1:], output):  # a statement that is there has its evidence
            write_bytes(path, files[path])
        return tuple(files)


@dataclass(frozen=True)
class KeyPair:
    """A new key pair."""

    private: Path
    public: Path
    ident: str


def keygen(name: Path) -> KeyPair:
    """Make a new key pair, NAME.key and NAME.pub, and return it; raises UsageError."""
    private, public = create_pair(name)
    return KeyPair(private, public, key_id(read_public(public)))


def attest(
    context: Context,
    variant: Variant = Variant(),
    options: AttestOptions = AttestOptions(),
    *,
    key: Path,
) -> Attestation:
    """Build the project, and sign a statement about its ladder with the private KEY.

    Evidence is checked before it is returned. Raises UsageError, FetchError when a service does not
    answer, and VcrError as `build` does.
    """
    private, provider = read_private(key), options.provider
    enclave = options.enclave or provider in ENCLAVE_PROVIDERS
    if enclave and not PROFILES[variant.profile].can_be_enclosed:
        raise UsageError("an enclave continues from a sealed snapshot", fix="add --profile prod")
    asked = (options.service or _named_service(context)) if provider == "command" else None
    extra = ("emulation",) if provider == "emulated" else ()
    maker = _build(context, variant, enclave=enclave, extra=extra)
    envelope = sign(maker.statement(options.predicate, options.time).to_bytes(), [private])
    if provider == NOBODY and options.nonce is None:
        return Attestation(envelope, provider, None)
    given = asked and replace(asked, envelope=envelope.to_bytes())
    chosen = given or _provider(context, provider, maker, key)
    return Attestation(envelope, provider, _prove(context, chosen, maker, envelope, options.nonce))


def _build(context: Context, variant: Variant, *, enclave: bool, extra: tuple[str, ...]) -> Maker:
    project, plan = context.prepare(variant)
    if enclave:
        check_enclave(plan.machine.engine)
    stages = PROFILES[variant.profile].stages(arch=plan.arch, enclave=enclave)
    builder = Builder(context.settings, context.ui, project, is_wary=True)
    return Maker(builder, builder.build(plan, (*stages, *extra)))


def _named_service(context: Context) -> Service:
    """Return the service that vcr.toml names; raises UsageError.

    A program is not vcr.toml's to name: whoever wrote that may be a stranger.
    """
    named = context.load_project().config.attest
    if named.command:
        raise UsageError(
            "vcr.toml: [attest] command is a program that would run on this host, as you",
            why=f"it says {shlex.join(named.command)}",
            fix="if you want that, use --service 'PROGRAM WORD...'",
        )
    if not named.url:
        raise UsageError(
            "there is no service to give the statement to",
            fix="name it: --service 'PROGRAM WORD...' or --service https://...",
        )
    return Service(url=named.url)


def _provider(context: Context, name: str, maker: Maker, key: Path) -> Provider:
    if name == "nitro":
        return Nitro(nbdkit=Nbdkit.of_toolset(Nix(context.settings).toolset("nbd")))
    if name == "emulated":
        machine = load_machine(maker.built.path("emulation"))
        assert isinstance(machine, EnclaveMachine)  # noqa: S101 -- for mypy: it is of that stage
        return Emulated(machine.setup)
    private = read_private(key)
    public = private.public_key()
    return Software(private, {key_id(public): public}, dt.datetime.now(dt.UTC))


def _prove(
    context: Context, provider: Provider, maker: Maker, envelope: Envelope, nonce: bytes | None
) -> Evidence:
    """Get evidence that binds to ENVELOPE's statement, and check it before it is kept."""
    launch = provider.measure(maker.parts)
    bound = report_data(envelope.payload)
    with context.ui.step("evidence") as step:
        step.line(f"asking {provider.name}")
        with provider.run(launch) as session:
            evidence = session.attest(bound, nonce)
        step.because(f"from {provider.name}")
    provider.verify(evidence, launch, report_data=bound, nonce=nonce, at=dt.datetime.now(dt.UTC))
    return evidence
