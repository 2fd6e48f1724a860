"""skopeo: copies images between registries and OCI layouts."""

from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.errors import FetchError, VcrError


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

    def copy_all(self, reference: str, layout: Path) -> None:
        """Copy every architecture of REFERENCE into an OCI LAYOUT; raises FetchError."""
        # --preserve-digests: what is stored must be what the reference names
        self._run("copy", "--all", "--preserve-digests", reference, f"oci:{layout}:locked")

    def _run(self, *words: str) -> process.Result:
        # Pulling by digest needs no signature policy: the digest is the policy.
        argv: list[process.Arg] = [self.program, "--insecure-policy", *words]
        try:
            return process.run(argv)
        except VcrError as error:
            raise FetchError(
                f"cannot read {words[-1] if words[0] == 'inspect' else words[-2]}",
                why=error.tail[-1] if error.tail else error.what,
                fix="check the reference, the network and your registry login",
            ) from None
