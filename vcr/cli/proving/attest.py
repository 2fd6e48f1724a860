"""`vcr attest`: statements about a build, signed; `verify` and `keygen` beside it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vcr.app
from vcr.attest.providers import PROVIDERS
from vcr.cli.context import App, Command, engine_option, plan_options, project_argument, variant_of
from vcr.cli.proving.attest_verify import verify
from vcr.errors import UsageError

if TYPE_CHECKING:  # pydantic and cryptography cost 300 ms at import
    from vcr.app import Attestation

# `vcr verify --sign`: rebuild
PREDICATES = ("provenance", "root-hash", "run-once", "sbom", "cyclonedx")
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
    """Sign statements about a build, and verify those of others.

    `vcr attest [DIR]` is `vcr attest make [DIR]`; each command has its own --help.
    """


@attest.command(
    MAKE, cls=Command, short_help="Build the project and sign a statement about its ladder."
)
@project_argument
@click.option(
    "--predicate",
    type=click.Choice(PREDICATES),
    default=PREDICATES[0],
    help="The content: how it was built; the drive's root hash; that the machine,"
    " executed again, is the same; what is in it, as SPDX or as CycloneDX.",
)
@click.option("--key", type=a_file, metavar="FILE", help="Sign with this private key.")
@click.option("--output", type=a_file, metavar="FILE", help="Write it here (default: stdout).")
@click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    default=PROVIDERS[0],
    help="Who else vouches: nobody, an enclave that runs the build, emulated here"
    " or on Nitro, or the service of vcr.toml. Its answer is written beside the output.",
)
@click.option("--service", metavar="TEXT",
              help="With --provider command: this program with its arguments, or this address,"
              " instead of vcr.toml's.")  # fmt: skip
@click.option("--nonce", metavar="HEX", help="The challenge that the provider must answer.")
@click.option("--enclave", is_flag=True, help="Include its enclave image; an enclave implies it.")
@click.option("--time", metavar="TIME", help="Include a time: `now`, or as 2026-11-26T00:00:00Z.")
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
    """Build the project in DIR and sign a statement about its ladder."""
    from vcr.app.proving.inputs import read_nonce, read_time
    from vcr.attest.providers.command import Command as Service

    if key is None:
        raise UsageError(
            "there is nothing to sign with", fix="`vcr attest keygen NAME`, then --key"
        )
    if output is None and (provider != PROVIDERS[0] or nonce is not None):
        raise UsageError("evidence is written beside the statement", fix="name a file: --output")
    options = vcr.app.AttestOptions(
        predicate,
        provider,
        None if service is None else Service.of(service),
        read_nonce(nonce),
        enclave=enclave,
        time=read_time(time),
    )
    variant = variant_of(profile, arch, engine)
    attestation = vcr.app.attest(app.context, variant, options, key=key)
    _write(app, attestation, output)


def _write(app: App, attestation: "Attestation", output: Path | None) -> None:
    files = () if output is None else attestation.write(output)
    data = attestation.envelope.to_bytes()
    if app.ui.is_json:
        content = {"envelope": json.loads(data), "files": [str(file) for file in files]}
        app.ui.json("attest", content)
    elif output is None:
        app.ui.document(data.decode().rstrip("\n"))
    for file in files:
        app.ui.note(f"{file} written")


@attest.command("keygen", cls=Command, short_help="Make a key pair.")
@click.argument("name", type=click.Path(path_type=Path))
@click.pass_obj
def keygen(app: App, name: Path) -> None:
    """Make a new key pair: NAME.key, which you keep, and NAME.pub, which you publish."""
    pair = vcr.app.keygen(name)
    private, public = str(pair.private), str(pair.public)
    if app.ui.is_json:
        app.ui.json("keygen", {"private": private, "public": public, "keyid": pair.ident})
        return
    app.ui.table([("private", private), ("public", public), ("id", pair.ident)])


@attest.command("push", cls=Command, short_help="Put statements beside an image in a registry.")
@click.argument("reference", metavar="REF")
@click.argument("files", nargs=-1, required=True, type=a_file, metavar="FILE...")
@click.pass_obj
def push(app: App, reference: str, files: tuple[Path, ...]) -> None:
    """Put statements beside the image that they are about, in a registry.

    REF is HOST[:PORT]/NAME[:TAG], of `vcr push`. Each FILE, an envelope, becomes a Sigstore
    bundle that refers to the image: `vcr attest verify REF`, `vcr pull REF --key` and
    cosign find it.
    """
    done = vcr.app.push_statements(app.context, reference, files)
    if app.ui.is_json:
        rows = [{"file": str(p.file), "digest": p.digest, "image": p.image} for p in done]
        app.ui.json("attest-push", {"to": reference, "statements": rows})
    else:
        app.ui.table([(str(each.file), each.digest) for each in done])


attest.add_command(verify)
