"""skopeo: copies images between registries and OCI layouts."""

from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.errors import FetchError, HostError, MismatchError, VcrError

# what skopeo and registries say
WRONG = ("did not match", "does not match")
DENIED = ("authentication required", "unauthorized", "denied")


@dataclass(frozen=True)
class Skopeo:
    """The skopeo of the pinned `oci` toolset."""

    program: Path

    @classmethod
    def of_toolset(cls, toolset: Path) -> "Skopeo":
        """Use the pinned program."""
        return cls(toolset / "usr/bin/skopeo")

    def raw_bytes(self, reference: str) -> bytes:
        """Return the manifest or index of REFERENCE ("docker://..."); raises FetchError."""
        return self._run("inspect", "--raw", reference).stdout

    def copy_all(self, reference: str, layout: Path, *, plain_http: bool | None = None) -> None:
        """Copy every architecture of REFERENCE into an OCI LAYOUT; raises FetchError.

        PLAIN_HTTP: None leaves it to skopeo's own configuration.
        """
        # --preserve-digests: what is stored must be what the reference names
        options = ("--all", "--preserve-digests", *_tls("src", plain_http))
        self._run("copy", *options, reference, f"oci:{layout}:locked")

    def push_all(self, layout: Path, reference: str, *, plain_http: bool) -> None:
        """Copy the image or index of an OCI LAYOUT to REFERENCE; raises VcrError."""
        # --preserve-digests: else a registry gets compressed layers, which have other digests
        options = ("--all", "--preserve-digests", *_tls("dest", plain_http))
        self._run("copy", *options, f"oci:{layout}", reference)

    def _run(self, *words: str) -> process.Result:
        # Pulling by digest needs no signature policy: the digest is the policy.
        argv: list[process.Arg] = [self.program, "--insecure-policy", *words]
        try:
            return process.run(argv)
        except VcrError as error:
            raise _failure(words, error) from None


def _tls(side: str, plain_http: bool | None) -> tuple[str, ...]:  # noqa: FBT001
    """Return the option that demands TLS, or allows to do without, whatever is configured."""
    if plain_http is None:
        return ()
    return (f"--{side}-tls-verify={'false' if plain_http else 'true'}",)


def _failure(words: tuple[str, ...], error: VcrError) -> VcrError:
    """Say what could not be read or written; one without an answer is worth another try."""
    why = error.tail[-1] if error.tail else error.what
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
