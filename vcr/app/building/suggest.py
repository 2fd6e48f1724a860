"""`lock --suggest`: sections of vcr.toml for images that Debian packages can stand for."""

from vcr.app.context import Context
from vcr.atomic import write_text
from vcr.foreign import MAX_TEXT, read_text
from vcr.lock.inputs import wanted_inputs
from vcr.lock.suggestions import suggestion
from vcr.model.project import CONFIG_FILE


def suggest_bases(context: Context) -> tuple[str, ...]:
    """Add a [base] to vcr.toml for each image that has none and for which packages are known.

    Return the sections that were added, for the user to look at: what a Dockerfile does with
    its image decides whether they are enough. Raises UsageError.
    """
    project = context.load_project()
    sections = tuple(filter(None, map(suggestion, wanted_inputs(project).places)))
    path = project.root / CONFIG_FILE
    text = read_text(path, MAX_TEXT) if path.exists() else ""
    if sections:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        write_text(path, text + gap + "\n".join(sections))
    return sections
