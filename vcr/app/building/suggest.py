"""`lock --suggest`: sections of vcr.toml for images that Debian packages can stand for."""

import stat
from collections.abc import Iterator, Mapping, Sequence

from vcr.app.context import Context
from vcr.atomic import write_text
from vcr.dockerfile.inputs import Call
from vcr.errors import UsageError
from vcr.foreign import MAX_TEXT, load_toml, read_text
from vcr.lock.debian.commands import COREPACK, FOREIGN, advice
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
        yield from map(_unfetched, _late_calls(wanted.calls.get(image, ())))
        foreign = [call for call in wanted.calls.get(image, ()) if call.command in FOREIGN]
        for call in {(call.at, call.command): call for call in foreign}.values():
            yield f"{call.at}: {advice(call.command, call.text, image)}"


def _late_calls(calls: Sequence[Call]) -> Iterator[Call]:
    """Yield those of CALLS, at the start of the app, for which corepack has fetched nothing."""
    steps = [call for call in calls if call.keyword == "RUN"]
    for call in calls:
        if call.keyword not in {"CMD", "ENTRYPOINT"} or call.command not in COREPACK:
            continue
        # `npm install -g yarn` brings it, too.
        if not any(step.stages[0] in call.stages and call.command in step.text for step in steps):
            yield call


def _unfetched(call: Call) -> str:
    return (
        f"{call.at}: {call.command} is fetched by corepack when it is first called, and an app that"
        f" starts has no network: add `RUN {call.command} --version` to the stage, or start the app"
        " with node"
    )


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
