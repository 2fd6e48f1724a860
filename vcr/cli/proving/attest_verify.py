"""`vcr attest verify`: do statements and evidence hold, and are they enough."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import vcr.app
from vcr.cli.comparison import show_comparison
from vcr.cli.context import App, Command, ProfileName
from vcr.errors import UsageError

if TYPE_CHECKING:  # pydantic and cryptography cost 300 ms at import
    from vcr.app.proving.summary import SummaryWriter
    from vcr.attest.checks.checker import Verdict
    from vcr.attest.log.entry import Logged

# HOST/NAME:TAG or HOST/NAME@DIGEST; files have colons seldom, and those that are there count.
_REFERENCE = re.compile(r"/[^/]+(?::[\w.-]+|@sha256:[0-9a-f]{64})$")
a_file = click.Path(path_type=Path, dir_okay=False)


@click.command("verify", cls=Command, short_help="Verify statements and evidence.")
@click.argument("words", nargs=-1, required=True, metavar="FILE|REF...")
@click.option("--policy", type=a_file, metavar="FILE", help="Your demands, as TOML.")
@click.option(
    "--key",
    "keys",
    type=a_file,
    multiple=True,
    metavar="FILE",
    help="Trust this public key; may be repeated.",
)
@click.option("--log-key", "logs", type=a_file, multiple=True, metavar="FILE",
              help="Demand an entry in the transparency log with this public key; may be"
              " repeated: in one of them.")  # fmt: skip
@click.option(
    "--threshold",
    type=click.IntRange(1, 64),
    metavar="N",
    help="How many different keys must vouch for the ladder (default: 1).",
)
@click.option(
    "--ladder", type=a_file, metavar="FILE", help="The ladder that the statements must be about."
)
@click.option("--profile", type=ProfileName(),
              help="The profile of the build (default: a release).")  # fmt: skip
@click.option("--at", metavar="TIME", help="Verify at this time, such as 2026-11-26T00:00:00Z.")
@click.option("--max-age", metavar="TIME", help="How old evidence may be, such as 5m.")
@click.option("--nonce", metavar="HEX", help="The challenge that evidence must answer.")
@click.option("--app-data", metavar="HEX", help="What the app in the enclave must have bound.")
@click.option(
    "--pcr",
    "registers",
    multiple=True,
    metavar="N=HEX",
    help="A register of the enclave; may be repeated. `sealed` stands for the root hash.",
)
@click.option("--pcrs", type=a_file, metavar="FILE", help="Registers, as nitro-cli prints them.")
@click.option(
    "--root", type=a_file, metavar="PEM", help="For tests: use this root instead of AWS's."
)
@click.option("--vsa", type=a_file, metavar="FILE",
              help="If it holds, write a signed summary (SLSA VSA) here.")  # fmt: skip
@click.option("--sign", "key", type=a_file, metavar="KEY",
              help="With --vsa: sign it with this private key.")  # fmt: skip
@click.option("--rebuild", is_flag=True, help="Also build the project (of -C) again and compare.")
@click.pass_obj
def verify(
    app: App,
    /,
    *,
    words: tuple[str, ...],
    vsa: Path | None,
    key: Path | None,
    rebuild: bool,
    **options: Any,
) -> None:
    """Verify statements and evidence; exit code 3 comes with the check that failed.

    A FILE is an envelope, a bundle, a Nitro document, or a service's answer. REF, HOST/NAME:TAG
    or NAME@DIGEST, stands for the statements of trusted keys beside an image in a registry.
    """
    demands = _demands(**options)
    writer = _writer(demands, vsa, key)
    verdict, reference = _verified(app, words, demands)
    if rebuild:
        _rebuilt(app, verdict)
    if writer is not None:
        writer.write(verdict, reference)
        app.ui.note(f"{writer.output} written")
    _report(app, verdict)


def _writer(
    demands: "vcr.app.Demands", vsa: Path | None, key: Path | None
) -> "SummaryWriter | None":
    """Return what writes the summary that is asked for, None if none is; raises UsageError."""
    from vcr.app.proving.summary import SummaryWriter

    if (vsa is None) != (key is None):
        raise UsageError(
            "--vsa and --sign belong together", fix="add --sign KEY" if vsa else "add --vsa FILE"
        )
    return None if vsa is None or key is None else SummaryWriter.of(demands, key, vsa)


def _demands(  # noqa: PLR0913 -- one for each option
    *,
    policy: Path | None,
    keys: tuple[Path, ...],
    logs: tuple[Path, ...],
    threshold: int | None,
    ladder: Path | None,
    profile: str | None,
    at: str | None,
    max_age: str | None,
    nonce: str | None,
    app_data: str | None,
    registers: tuple[str, ...],
    pcrs: Path | None,
    root: Path | None,
) -> "vcr.app.Demands":
    """Return what the options demand; raises UsageError."""
    from vcr.app.proving.inputs import read_age, read_hex, read_moment, read_registers

    return vcr.app.Demands(
        policy,
        keys,
        logs,
        threshold,
        ladder,
        profile,
        nonce=None if nonce is None else read_hex(nonce, "--nonce"),
        app_data=None if app_data is None else read_hex(app_data, "--app-data"),
        registers=read_registers(registers, pcrs),
        max_age=None if max_age is None else read_age(max_age),
        root=root,
        at=None if at is None else read_moment(at),
    )


def _verified(
    app: App, words: tuple[str, ...], demands: "vcr.app.Demands"
) -> "tuple[Verdict, str]":
    """Return what the files and at most one reference among WORDS prove, and that reference.

    Raises VcrError.
    """
    references = [word for word in words if _REFERENCE.search(word) and not Path(word).exists()]
    if len(references) > 1:
        raise UsageError(
            "one image at a time", why=", ".join(references), fix="name one of them, and its files"
        )
    files = [Path(word) for word in words if word not in references]
    reference = "".join(references)
    verdict = vcr.app.verify_statements(app.context, files, demands, reference=reference)
    return verdict, reference


def _rebuilt(app: App, verdict: "Verdict") -> None:
    """Raise MismatchError unless what VERDICT is about, built again, is the same."""
    comparison = vcr.app.rebuild_stated(app.context, verdict)
    show_comparison(app, comparison)
    comparison.check()


def _report(app: App, verdict: "Verdict") -> None:
    verified = [proof for proof in verdict.proofs if proof.is_verified]
    kept = [proof for proof in verdict.proofs if not proof.is_verified]
    if app.ui.is_json:
        said = [
            {
                "file": one.file,
                "predicate": one.kind,
                "signers": sorted(one.signers),
                "logs": [_logged(entry) for entry in one.entries.held],
                "unchecked_entries": one.entries.unchecked,
            }
            for one in verdict.said
        ]
        content = {
            "holds": True,
            "build": dict(verdict.terms) or None,
            "statements": said,
            "evidence": [{"file": p.file, "type": p.kind, "about": p.words} for p in verified],
            "kept": [{"file": p.file, "type": p.kind, "about": p.words} for p in kept],
            "ladder": dict(verdict.ladder),
        }
        app.ui.json("attest-verify", content)
        return
    rows = [
        (one.file, one.kind, "; ".join(filter(None, (_signed(one.signers), one.entries.words))))
        for one in verdict.said
    ]
    app.ui.table(rows + [(proof.file, proof.kind, proof.words) for proof in [*verified, *kept]])
    if verdict.terms:
        app.ui.data("about " + ", ".join(f"{key} {word}" for key, word in verdict.terms.items()))


def _signed(signers: frozenset[str]) -> str:
    return "signed by " + ", ".join(sorted(key[:12] for key in signers))


def _logged(entry: "Logged") -> dict[str, str | int | None]:
    time = None if entry.time is None else f"{entry.time:%Y-%m-%dT%H:%M:%SZ}"
    return {"log": entry.log, "index": entry.index, "time": time}
