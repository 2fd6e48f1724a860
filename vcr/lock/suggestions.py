"""What to write in vcr.toml for an image that cannot be fetched: Debian packages like it.

The images are the official ones that public Dockerfiles name most. A package is of trixie, for
each architecture.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

from vcr.dockerfile.text import Position
from vcr.errors import FetchError, HostError, UsageError
from vcr.model.url import familiar_name

SHELL = ("dash", "coreutils", "base-passwd", "base-files")
# name of a repository → the packages that its images are used for
PACKAGES: dict[str, tuple[str, ...]] = {
    "alpine": ("busybox", *SHELL),
    "busybox": ("busybox", *SHELL),
    "eclipse-temurin": ("default-jre-headless", *SHELL),
    "gcc": ("gcc", "g++", "make", "libc6-dev", *SHELL),
    "golang": ("golang-go", "ca-certificates", "git", *SHELL),
    "memcached": ("memcached", *SHELL),
    "nginx": ("nginx-light", *SHELL),
    "node": ("nodejs", "npm", *SHELL),
    "openjdk": ("default-jdk-headless", *SHELL),
    "php": ("php-cli", *SHELL),
    "postgres": ("postgresql", *SHELL),
    "python": ("python3", "python3-pip", "python3-venv", *SHELL),
    "redis": ("redis-server", *SHELL),
    "ruby": ("ruby", "bundler", *SHELL),
    "rust": ("cargo", "rustc", "gcc", "libc6-dev", *SHELL),
}
# Whose images are used for apt-get, which needs packages whose scripts have run.
CONFIGURED = {"buildpack-deps", "debian", "ubuntu"}


def suggestion(reference: str) -> str:
    """Return the section of vcr.toml that replaces the image REFERENCE, "" where none is known."""
    name = familiar_name(reference)
    repository = name.partition("@")[0].rpartition("/")[2].partition(":")[0]
    if repository in CONFIGURED:
        return f'[base."{name}"]\npackages = ["apt", "ca-certificates"]\nconfigure = true\n'
    packages = PACKAGES.get(repository)
    if packages is None:
        return ""
    words = ", ".join(f'"{package}"' for package in packages)
    return f'[base."{name}"]\npackages = [{words}]\n'


@contextmanager
def naming(reference: str, at: Position | None, stages: Sequence[str]) -> Iterator[None]:
    """Let errors about the image REFERENCE, which stands AT, say where, and what to write.

    STAGES are the names of the Dockerfile's own: one of them may be meant.
    """
    try:
        yield
    except (FetchError, HostError, UsageError) as error:
        if at is None:
            raise
        error.what = f"{at}: {reference}: {error.what}"
        near = get_close_matches(reference, stages, n=1)
        section = suggestion(reference)
        if near:
            error.fix = f"did you mean the stage {near[0]}?"
        elif section:
            error.fix = (
                f"{error.fix}; or build on Debian packages, in vcr.toml"
                f" (`vcr lock --suggest` writes it):\n{section}"
            )
        else:
            error.fix = (
                f'{error.fix}; or name packages or a layout in vcr.toml: [base."{reference}"]'
            )
        raise
