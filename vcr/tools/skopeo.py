"""skopeo: copies images between registries and OCI layouts."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.atomic import scratch_directory
from vcr.errors import FetchError, HostError, MismatchError, VcrError
from vcr.tools.filling import Filling, seconds_for, size_of
from vcr.tools.nix import Nix

PATIENCE_SECONDS = 120.0
MAX_BYTES = 64 << 30  # of all architectures of an image, unless it is known better
# what skopeo and registries say
WRONG = ("did not match", "does not match")
_LOGGED = re.compile(r'\blevel=\w+ msg=(?:"((?:[^"\\]|\\.)*)"|([^"\s]+))\s*\Z')
DENIED = ("authentication required", "unauthorized", "denied")


@dataclass(frozen=True)
class Skopeo:
    """The skopeo of the pinned `oci` toolset."""

    program: Path
    patience: float = PATIENCE_SECONDS  # for a manifest, or without a byte of a blob
    before: tuple[str, ...] = ()  # a program that starts it

    @classmethod
    def of_toolset(cls, toolset: Path) -> "Skopeo":
        """Use the pinned program."""
        return cls(toolset / "usr/bin/skopeo")

    @classmethod
    def pinned(cls, nix: Nix) -> "Skopeo":
        """Use the pinned program, which NIX brings; raises VcrError."""
        return cls.of_toolset(nix.toolset("oci"))

    def raw_bytes(self, reference: str, *, plain_http: bool | None = None) -> bytes:
        """Return the manifest or index of REFERENCE ("docker://..."); raises FetchError.

        skopeo reads 4 MiB of one at most.
        """
        tls = [option.replace("--src-", "--") for option in _tls("src", plain_http)]
        return self._run("inspect", "--raw", *tls, reference, timeout=self.patience).stdout

    def config_bytes(self, reference: str) -> bytes:
        """Return the config of the image REFERENCE, not of an index; raises FetchError."""
        words = ("inspect", "--config", "--raw", reference)
        return self._run(*words, timeout=self.patience).stdout

    def copy_blobs(self, reference: str, directory: Path, most: int) -> None:
        """Copy the one image REFERENCE into DIRECTORY, each blob by its hash, MOST bytes in all.

        Raises FetchError, also when nothing comes for too long, and MismatchError when more bytes
        come. The form of the directory: containers-transports(5), dir.
        """
        filling = Filling(directory, reference, most, self.patience)
        words = ("copy", "--preserve-digests", reference, f"dir:{directory}")
        self._run(*words, watch=filling.check)
        filling.check_size()

    def copy_all(
        self,
        reference: str,
        layout: Path,
        *,
        plain_http: bool | None = None,
        most: int = MAX_BYTES,
    ) -> None:
        """Copy every architecture of REFERENCE, MOST bytes, into an OCI LAYOUT.

        PLAIN_HTTP: None leaves it to skopeo's own configuration. Raises FetchError, also when
        nothing comes for too long, and MismatchError when more bytes come.
        """
        filling = Filling(layout, reference, most, self.patience)
        # --preserve-digests: what is stored must be what the reference names
        options = ("--all", "--preserve-digests", *_tls("src", plain_http))
        with _named(reference) as source:
            self._run("copy", *options, source, f"{_oci(layout)}:locked", watch=filling.check)
        filling.check_size()

    def push_all(self, layout: Path, reference: str, *, plain_http: bool) -> None:
        """Copy the image or index of an OCI LAYOUT to REFERENCE; raises VcrError."""
        # --preserve-digests: else a registry gets compressed layers, which have other digests
        options = ("--all", "--preserve-digests", *_tls("dest", plain_http))
        with _named(f"oci:{layout}") as source:
            timeout = self.patience + seconds_for(size_of(layout))
            self._run("copy", *options, source, reference, timeout=timeout)

    def push_index(self, layout: Path, reference: str, *, plain_http: bool) -> None:
        """Copy the index of an OCI LAYOUT alone to REFERENCE, which has what it lists.

        Raises VcrError.
        """
        options = ("--multi-arch", "index-only", "--preserve-digests")
        with _named(f"oci:{layout}") as source:
            tls = _tls("dest", plain_http)
            self._run("copy", *options, *tls, source, reference, timeout=self.patience)

    def _run(
        self,
        *words: str,
        timeout: float | None = None,
        watch: Callable[[], None] | None = None,
    ) -> process.Result:
        # Pulling by digest needs no signature policy: the digest is the policy.
        argv: list[process.Arg] = [*self.before, self.program, "--insecure-policy", *words]
        try:
            return process.run(argv, timeout=timeout, watch=watch)
        except (MismatchError, FetchError):  # of the watch
            raise
        except VcrError as error:
            raise _failure(words, error) from None


@contextmanager
def _named(reference: str) -> Iterator[str]:
    """Yield what names the image REFERENCE; a layout at a path with a colon is copied first.

    containers-transports(5): oci:PATH[:REFERENCE]; no path that skopeo resolves may have one.
    """
    layout = Path(reference.removeprefix("oci:"))
    if not reference.startswith("oci:") or ":" not in str(layout.resolve()):
        yield reference
        return
    with scratch_directory() as scratch:
        copied = scratch / "layout"
        name = _oci(copied)
        shutil.copytree(layout, copied)
        yield name


def _oci(layout: Path) -> str:
    """Return what names LAYOUT, a directory that vcr chooses; raises HostError."""
    if ":" in str(layout.resolve()):
        raise HostError(
            f"images cannot be copied to {layout}",
            why="skopeo has no way to write a path with a colon",
            fix="choose another TMPDIR",
        )
    return f"oci:{layout}"


def _tls(side: str, plain_http: bool | None) -> tuple[str, ...]:  # noqa: FBT001
    """Return the option that demands TLS, or allows to do without, whatever is configured."""
    if plain_http is None:
        return ()
    return (f"--{side}-tls-verify={'false' if plain_http else 'true'}",)


def _message(line: str) -> str:
    """Return what LINE, of logrus's text format, says: https://github.com/sirupsen/logrus"""
    match = _LOGGED.search(line)
    if match is None:
        return line
    try:
        return match[2] or str(json.loads(f'"{match[1]}"'))  # Go's quotes are JSON's, mostly
    except ValueError:
        return line


def _failure(words: tuple[str, ...], error: VcrError) -> VcrError:
    """Say what could not be read or written; one without an answer is worth another try."""
    why = _message(error.tail[-1]) if error.tail else error.what
    is_push = words[-1].startswith("docker://") and words[0] == "copy"
    what = f"cannot write to {words[-1]}" if is_push else f"cannot read {_source(words)}"
    if any(word in why for word in WRONG):
        return MismatchError(what, why=why, fix="do not trust that registry")
    if any(word in why for word in DENIED):
        host = (
            (words[-1] if is_push else _source(words)).removeprefix("docker://").partition("/")[0]
        )
        return HostError(what, why=why, fix=f"skopeo login {host}")
    return FetchError(what, why=why, fix="check the reference, the network and your registry login")


def _source(words: tuple[str, ...]) -> str:
    return words[-1] if words[0] == "inspect" else words[-2]
