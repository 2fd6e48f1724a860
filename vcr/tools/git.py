"""git from the pinned toolchain: a checkout of somebody's repository."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.errors import FetchError, VcrError


@dataclass(frozen=True)
class Git:
    """The program at a path."""

    program: Path

    @contextmanager
    def checkout(self, url: str, revision: str) -> Iterator[Path]:
        """Yield a directory with REVISION of the repository at URL; raises FetchError."""
        with tempfile.TemporaryDirectory(prefix="vcr-source-") as name:
            # A project without a name of its own has its directory's: as `git clone` calls it.
            root = Path(name) / directory_of(url)
            root.mkdir()
            self._git(root, "init", "--quiet")
            try:
                self._git(root, "fetch", "--quiet", "--depth=1", "--", url, revision)
            except VcrError as error:
                raise FetchError(
                    f"cannot fetch {revision} of {url}",
                    tail=error.tail,
                    fix="check the address; a revision is a branch, a tag or a full commit hash",
                ) from None
            self._git(root, "checkout", "--quiet", "FETCH_HEAD")
            yield root

    def _git(self, root: Path, *words: str) -> None:
        env = {
            # Of the toolchain, not of this host; no configuration, no hooks, no questions.
            "GIT_EXEC_PATH": str(self.program.parents[1] / "lib" / "git-core"),
            "GIT_TEMPLATE_DIR": "",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
        }
        process.run([self.program, "-C", root, *words], env=env)


def directory_of(url: str) -> str:
    """Return what git-clone(1) calls the directory of a clone of URL."""
    path = url.rstrip("/").removesuffix("/.git").rstrip("/")
    name = re.split(r"[/:]", path)[-1].removesuffix(".git")
    return name if name not in {"", ".", ".."} else "source"
