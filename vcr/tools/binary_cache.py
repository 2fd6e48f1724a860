"""Binary caches of Nix: pushed to with a signature, asked what they have.

https://nix.dev/manual/nix/latest/store/types/http-binary-cache-store; a signature is
over store path, hash, size and references, so a cache and the way to it need no trust.
"""

import json
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from vcr import process
from vcr.errors import FetchError, HostError, UsageError, VcrError
from vcr.tools.nix import Nix
from vcr.tools.nix_store import info_rows
from vcr.words import counted

SCHEMES = ("file", "http", "https", "s3")
_SEPARATORS = "?#%\n\r"
MAKE_KEY = "nix-store --generate-binary-cache-key NAME-1 KEY KEY.pub"
_KEY = re.compile(rb"([^:\s]+):[A-Za-z0-9+/]+=*\s*")


@dataclass(frozen=True)
class SigningKey:
    """A secret key in a file that only its owner reads."""

    path: Path
    name: str

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Check the file at PATH; raises UsageError, HostError."""
        try:
            data = path.read_bytes()
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            raise UsageError(
                f"cannot read the key {path}", why=str(error.strerror), fix=f"make one: {MAKE_KEY}"
            ) from None
        match = _KEY.fullmatch(data)
        if match is None:
            raise UsageError(f"{path} is not a signing key", fix=f"make one: {MAKE_KEY}")
        if mode & 0o077:
            raise HostError(
                f"others can read the key {path}", why=f"its mode is {mode:04o}",
                fix=f"chmod 600 {path}; if others may have read it, make another",
            )  # fmt: skip
        return cls(path.resolve(), match[1].decode())


@dataclass(frozen=True)
class BinaryCache:
    """A cache at a URL."""

    url: str
    nix: Nix

    @classmethod
    def at(cls, text: str, nix: Nix) -> "BinaryCache":
        """Read TEXT, a URL or a directory; raises UsageError."""
        scheme, separator, rest = text.partition("://")
        url = text if separator else f"file://{Path(text).absolute()}"
        if (separator and scheme not in SCHEMES) or "secret-key=" in rest:
            raise UsageError(
                f"{text!r} is not a binary cache",
                fix="write DIR, file://DIR, http(s)://HOST/PATH or s3://BUCKET",
            )
        # A store of Nix's is named by a URL, whose path older ones do not decode.
        path = "" if scheme != "file" and separator else rest.partition("?")[0] or url
        if wrong := set(_SEPARATORS) & set(path):
            raise UsageError(
                f"{text!r} cannot name a binary cache",
                why=f"{min(wrong)!r} has another meaning in the URL of a store",
                fix="choose another directory",
            )
        return cls(url, nix)

    def push(self, paths: Sequence[Path], key: SigningKey) -> int:
        """Copy PATHS and all they refer to, signed with KEY; return how many these are.

        Raises VcrError, and when the cache has some of them without that signature.
        """
        # zstd: a machine's memory takes seconds, not minutes as with the default, xz.
        options = f"compression=zstd&secret-key={quote(str(key.path))}"
        to = f"{self.url}{'&' if '?' in self.url else '?'}{options}"
        copied = process.run(["nix", "copy", "--to", to, *paths], env=self.nix.env(), ok=None)
        if copied.returncode:
            raise self._failure(f"cannot push to {self.url}", copied)
        closure = process.run(["nix-store", "--query", "--requisites", *paths], env=self.nix.env())
        wanted = [Path(line) for line in closure.text.splitlines()]
        unsigned = [p for p, names in self.signatures(wanted).items() if key.name not in names]
        if unsigned:
            raise VcrError(
                f"{self.url} has {counted(len(unsigned), 'path')} that {key.name} did not sign",
                details=[("such as", str(unsigned[0]))],
                why="they were there before, and vcr does not push existing paths again",
                fix="remove them from the cache and push again",
            )
        return len(wanted)

    def signatures(self, paths: Sequence[Path]) -> dict[Path, tuple[str, ...]]:
        """Return, for each of PATHS that the cache has, the names of the keys that signed it.

        Raises FetchError when the cache does not answer.
        """
        # What it did not have a moment ago is asked for again.
        fresh = ("--option", "narinfo-cache-negative-ttl", "0")
        argv: list[process.Arg] = ["nix", "path-info", "--json", "--store", self.url]
        result = process.run([*argv, *fresh, *paths], env=self.nix.env(), ok=None)
        if result.returncode:
            raise self._failure(f"{self.url} does not answer", result)
        return {
            path: tuple(signature.partition(":")[0] for signature in row.get("signatures", ()))
            for path, row in info_rows(json.loads(result.stdout))
        }

    def public_key(self, key: SigningKey) -> str:
        """Return what others trust: the public half of KEY, as NAME:BASE64."""
        argv = ["nix", "key", "convert-secret-to-public"]
        return process.run(argv, env=self.nix.env(), stdin=key.path.read_bytes()).text

    def _failure(self, what: str, result: process.Result) -> VcrError:
        lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        last = (lines or result.stderr.splitlines() or [""])[-1]
        why = last.removeprefix("error: ")
        if self.url.startswith("file://"):
            return HostError(what, why=why, fix="check the directory and its permissions")
        return FetchError(what, why=why, fix="check the address and the network")
