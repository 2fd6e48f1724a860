"""All pages of the reference, by the names of their files."""

from vcr.errors import ExitCode
from vcr.reference.command import Verb
from vcr.reference.markdown import command_page, page, table
from vcr.reference.models import answers_page, configuration_page, lock_page
from vcr.reference.python import python_page


def markdown_pages(vcr: Verb) -> dict[str, str]:
    """Return the pages of docs/reference."""
    return {
        "cli.md": command_page(vcr),
        "vcr.toml.md": configuration_page(),
        "vcr.lock.md": lock_page(),
        "json.md": answers_page(),
        "python.md": python_page(),
        "exit-codes.md": _codes_page(),
    }


def _codes_page() -> str:
    rows = [(str(code.value), code.meaning) for code in ExitCode]
    return page(
        "Exit codes",
        table(("code", "means"), rows),
        ["`vcr exec` and `vcr shell` end with the exit code of the command."],
    )
