"""What to write in vcr.toml for an image that cannot be fetched: Debian packages like it."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

from vcr.dockerfile.text import Position
from vcr.errors import FetchError, HostError, UsageError
from vcr.lock.suggested.absent import why_absent
from vcr.lock.suggested.distroless import HOST, distroless
from vcr.lock.suggested.images import IMAGES, VARIANTS
from vcr.lock.suggested.section import Suggestion
from vcr.model.url import familiar_name


def suggestion(reference: str, commands: Collection[str] = ()) -> str:
    """Return the section of vcr.toml that replaces the image REFERENCE, "" where none is known.

    Its packages have those of COMMANDS, which are called, that are known, too.
    """
    found = suggested(reference)
    return found.calling(commands).section(familiar_name(reference)) if found else ""


def suggested(reference: str) -> Suggestion | None:
    """Return what stands for the image REFERENCE, None where nothing is known."""
    place, name, tag = _parts(reference)
    if place == HOST:
        return distroless(name, tag)
    if why_absent(place, name):
        return None
    words = tag.split("-")
    numbers = [word.partition(".")[0] for word in words]
    plain = [word.rstrip("0123456789.") for word in words]  # alpine3.20
    variants = (VARIANTS.get((name, word)) for word in (*words, *numbers, *plain))
    return next(filter(None, variants), IMAGES.get(name))


def other_version(reference: str) -> str:
    """Return the version that Debian has of REFERENCE, "" if that is what its tag asks for."""
    found = suggested(reference)
    return found.other_version(_parts(reference)[2]) if found else ""


def unknown(reference: str) -> str:
    """Say why nothing is suggested for the image REFERENCE, and what to do."""
    place, name, _ = _parts(reference)
    why = why_absent(place, name) or "no packages are known"
    base = json.dumps(familiar_name(reference))
    return (
        f"{reference}: {why}; lock it where its registry can be"
        f' reached, or write in vcr.toml, [base.{base}] packages = [...] or oci = "DIRECTORY",'
        " or leave it out"
    )


def _parts(reference: str) -> tuple[str, str, str]:
    """Return the place of an image, with a slash at its end if there is one, its name, its tag."""
    place, slash, last = familiar_name(reference).partition("@")[0].rpartition("/")
    name, _, tag = last.partition(":")
    return f"{place}{slash}", name, tag


def instead(reference: str, first: str, commands: Collection[str] = ()) -> str:
    """Return what to do without the image REFERENCE: FIRST, or packages, which may be known.

    COMMANDS are what is called on it.
    """
    section = suggestion(reference, commands)
    if section:
        return (
            f"{first}; or build on Debian packages, in vcr.toml"
            f" (`vcr lock --suggest` writes it):\n{section}"
        )
    return f'{first}; or name packages or a layout in vcr.toml: [base."{reference}"]'


@contextmanager
def naming(
    reference: str, at: Position | None, stages: Sequence[str], commands: Collection[str] = ()
) -> Iterator[None]:
    """Let errors about the image REFERENCE, which stands AT, say where, and what to write.

    STAGES are the names of the Dockerfile's own: one of them may be meant. COMMANDS are what is
    called on the image.
    """
    try:
        yield
    except (FetchError, HostError, UsageError) as error:
        if at is None:
            raise
        error.what = f"{at}: {reference}: {error.what}"
        near = get_close_matches(reference, stages, n=1)
        other = instead(reference, error.fix, commands)
        error.fix = f"did you mean the stage {near[0]}?" if near else other
        raise
