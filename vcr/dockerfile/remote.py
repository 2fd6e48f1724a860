"""What ADD takes from another host: files by their address, and git repositories."""

import re
from dataclasses import dataclass

from vcr.dockerfile.git_address import GitAddress, is_git, parse_git_address
from vcr.dockerfile.state import State
from vcr.dockerfile.syntax import Instruction
from vcr.dockerfile.text import Position, mistake
from vcr.model.url import BEGINNINGS, check_url

# Those of https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests,
# which BuildKit takes, and sha384: algorithm → hex digits.
ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}
CLOSING = "sha256:"  # a file with such a digest needs no lock: builds know files by it
_HEX = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True)
class RemoteFile:
    """A file at an address."""

    url: str
    checksum: str  # ALGORITHM:HEX, "" for none

    @property
    def is_closed(self) -> bool:
        """Return whether the Dockerfile itself says which bytes it is."""
        return self.checksum.startswith(CLOSING)


def remote_of(
    state: State, instruction: Instruction, at: Position, text: str
) -> RemoteFile | GitAddress | None:
    """Return what TEXT, a source AT a place of INSTRUCTION, is; None for a file of the context.

    Raises UsageError for an address that is wrong, and for a --checksum that is.
    """
    checksum = state.expand(instruction.flag("checksum") or "", instruction.at)
    if is_git(text):
        return _repository(instruction, at, text, checksum)
    if text.startswith(BEGINNINGS):
        _check_alone(instruction)
        return RemoteFile(_checked(at, text), _digest(instruction, checksum))
    if instruction.flag("checksum") is not None:
        raise instruction.mistake(
            f"--checksum is for addresses, not for {text}",
            why="files of the build context are known by hash anyway",
            fix="leave --checksum out",
        )
    return None


def _repository(instruction: Instruction, at: Position, text: str, checksum: str) -> GitAddress:
    _check_alone(instruction)
    keep = None
    if instruction.flag("keep-git-dir") is not None:
        keep = instruction.switch("keep-git-dir")
    try:
        return parse_git_address(text, checksum=checksum, keep_git_dir=keep)
    except ValueError as error:
        raise mistake(
            at,
            f"ADD cannot take the git repository {text}",
            why=str(error),
            fix="write https://HOST/PATH.git#REF:DIRECTORY",
        ) from None


def _check_alone(instruction: Instruction) -> None:
    """Raise UsageError when one --checksum is for several sources."""
    if instruction.flag("checksum") is not None and len(instruction.operands()) != 2:
        raise instruction.mistake("--checksum is for one source", fix="write one ADD for each")


def _checked(at: Position, text: str) -> str:
    try:
        return check_url(text)
    except ValueError as error:
        raise mistake(at, f"{text} is not an address", why=str(error)) from None


def _digest(instruction: Instruction, checksum: str) -> str:
    if not checksum:
        return ""
    algorithm, _, digits = checksum.partition(":")
    if len(digits) != ALGORITHMS.get(algorithm, -1) or not _HEX.fullmatch(digits):
        known = ", ".join(f"{name}: and {size} hex digits" for name, size in ALGORITHMS.items())
        raise instruction.mistake(
            f"--checksum={checksum} is not a digest", fix=f"write {known}, in lower case"
        )
    return checksum
