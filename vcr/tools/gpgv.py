"""gpgv: checks an OpenPGP signature against a keyring and nothing else.

gpgv trusts every key of the keyring it is given and never looks for others,
which is what a pinned keyring needs.
"""

from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.errors import MismatchError

CLEAR = b"-----BEGIN PGP SIGNED MESSAGE-----"
SECONDS = 60.0  # that gpgv may take


@dataclass(frozen=True)
class Gpgv:
    """A gpgv program and the keyring it trusts."""

    program: Path
    keyring: Path

    @classmethod
    def of_toolset(cls, toolset: Path) -> "Gpgv":
        """Use the pinned program with Debian's pinned archive keyring."""
        keyring = toolset / "usr/share/keyrings/debian-archive-keyring.pgp"
        return cls(toolset / "usr/bin/gpgv", keyring)

    def signed_text(self, message: bytes, what: str) -> str:
        """Return the text of a clear-signed MESSAGE (RFC 9580 section 7) whose signature is good.

        Only what gpgv says was signed is returned. WHAT names the message in the
        MismatchError that is raised for a bad, unknown or missing signature; raises
        ValueError when the text is not UTF-8.
        """
        # Of clear text gpgv says no more than it got. Of a packed message it would say all
        # that is packed in it, before it judges who signed that.
        if not message.lstrip().startswith(CLEAR):
            raise MismatchError(
                f"{what} is not signed",
                why="it does not begin like a clear-signed message",
                fix="do not trust this mirror; try another one",
            )
        argv: list[process.Arg] = [self.program, "--keyring", self.keyring]
        argv += ["--output", "-"]  # the signed text, without anything around it
        result = process.run([*argv, "-"], stdin=message, ok=None, timeout=SECONDS)
        if result.returncode:
            raise MismatchError(
                f"the signature of {what} is not good",
                why="no key of the pinned Debian archive keyring made it",
                fix="do not trust this mirror; try another one",
                tail=result.stderr.splitlines()[-process.TAIL_LINES :],
            )
        return result.stdout.decode()
