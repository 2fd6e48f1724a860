"""`lock --suggest`: sections of vcr.toml for images that Debian packages can stand for."""

import stat
from collections.abc import Iterator, Mapping, Sequence

from vcr.app.context import Context
from vcr.atomic import write_text
from vcr.errors import UsageError
from vcr.foreign import MAX_TEXT, load_toml, read_text
from vcr.lock.debian.commands import FOREIGN, advice
from vcr.lock.inputs import Wanted, wanted_inputs
from vcr.lock.suggestions import other_version, suggestion, unknown
from vcr.model.project import CONFIG_FILE


def suggest_bases(context: Context) -> tuple[str, ...]:
    """Add a [base] to vcr.toml for each image that has none and for which packages are known.

    Return the sections that were added, for the user to look at: what a Dockerfile does with
    its image decides whether they are enough. Raises UsageError.
    """
    project = context.load_project()
    wanted = wanted_inputs(project)
    found = {image: _section(wanted, image) for image in wanted.places}
    sections = tuple(filter(None, found.values()))
    for warning in _warnings(wanted, found):
        context.ui.warn(warning)
    path = project.root / CONFIG_FILE
    there = path.exists()
    text = read_text(path, MAX_TEXT) if there else ""
    if sections:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        mode = stat.S_IMODE(path.stat().st_mode) if there else 0o644
        write_text(path, _checked(text + gap + "\n".join(sections), sections), mode=mode)
    return sections


def _section(wanted: Wanted, image: str) -> str:
    return suggestion(image, [call.command for call in wanted.calls.get(image, ())])


def _warnings(wanted: Wanted, found: Mapping[str, str]) -> Iterator[str]:
    """Yield what the sections that were FOUND, by image, leave to do."""
    for image, at in wanted.places.items():
        if not found[image]:
            yield f"{at}: {unknown(image)}"
            continue
        if version := other_version(image):
            yield (
                f"{at}: {image} is another version than Debian's, {version}: what needs its own has"
                " to be locked where its registry can be reached"
            )
        foreign = [call for call in wanted.calls.get(image, ()) if call.command in FOREIGN]
        for call in {(call.at, call.command): call for call in foreign}.values():
            yield f"{call.at}: {advice(call.command, call.text, image)}"


def _checked(text: str, sections: Sequence[str]) -> str:
    """Return TEXT, which ends in SECTIONS; raises UsageError when it is not TOML."""
    try:
        load_toml(text)
    except ValueError as error:
        raise UsageError(
            f"{CONFIG_FILE} cannot take more sections",
            why=str(error),
            fix="write its base as [base.NAME], and run it again; or add:\n" + "\n".join(sections),
        ) from None
    return text
