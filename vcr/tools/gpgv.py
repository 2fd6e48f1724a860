"""gpgv: checks an OpenPGP signature against a keyring and nothing else.

gpgv trusts every key of the keyring it is given and never looks for others,
which is what a pinned keyring needs.
"""

from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.errors import MismatchError


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
        MismatchError that is raised for a bad, unknown or missing signature.
        """
        argv: list[process.Arg] = [self.program, "--keyring", self.keyring]
        argv += ["--output", "-"]  # the signed text, without anything around it
        result = process.run([*argv, "-"], stdin=message, ok=None)
        if result.returncode:
            raise MismatchError(
                f"the signature of {what} is not good",
                why="no key of the pinned Debian archive keyring made it",
                fix="do not trust this mirror; try another one",
                tail=result.stderr.splitlines()[-process.TAIL_LINES :],
            )
        return result.stdout.decode()
