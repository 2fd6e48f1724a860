"""The command line as data: what click knows of verbs, arguments and options."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

import click

from vcr.settings import variable_of

PREFIX = "VCR"


@dataclass(frozen=True)
class Option:
    """An option, or an argument that the usage only names."""

    names: tuple[str, ...]  # -p, --publish
    value: str  # what follows it; "" for a flag
    meaning: str
    default: str  # "" when there is none worth telling
    variable: str  # that stands for it


@dataclass(frozen=True)
class Verb:
    """A command: vcr itself, one of its verbs, or a command of a verb."""

    words: tuple[str, ...]  # vcr, attest, verify
    usage: str  # what follows the words
    summary: str  # one line
    text: tuple[str, ...]  # paragraphs; an indented one is to be shown as it is
    options: tuple[Option, ...]  # its own; those of vcr itself are accepted everywhere
    verbs: tuple["Verb", ...]

    @property
    def name(self) -> str:
        """Return the words with spaces between them."""
        return " ".join(self.words)

    def all(self) -> Iterator["Verb"]:
        """Yield it and those below it."""
        yield self
        for verb in self.verbs:
            yield from verb.all()


def read_command(root: click.Command) -> Verb:
    """Return ROOT, which is vcr, with all its verbs."""
    return _verb(root, ("vcr",))


def is_shared(parameter: click.Parameter) -> bool:
    """Return whether PARAMETER is an option that every command takes."""
    return isinstance(parameter, click.Option) and not parameter.expose_value


def _verb(command: click.Command, words: tuple[str, ...]) -> Verb:
    context = click.Context(command, info_name=words[-1], **command.context_settings)
    is_root = len(words) == 1
    prefix = "_".join((PREFIX, *words[1:])).upper().replace("-", "_")
    options = tuple(
        _option(parameter, prefix)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and parameter.name != "version"
        and (is_root or not is_shared(parameter))
    )
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return Verb(
        words,
        " ".join(_usage(command, context)),
        command.get_short_help_str(100),
        tuple(paragraphs),
        options,
        tuple(_verb(below, (*words, name)) for name, below in _below(command, context)),
    )


def _below(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is not None and not below.hidden:
            yield name, below


def _usage(command: click.Command, context: click.Context) -> list[str]:
    """Return what click's own help says behind "Usage: vcr VERB"."""
    return command.collect_usage_pieces(context)


def _option(option: click.Option, prefix: str) -> Option:
    # --a/--b: click keeps the names of the two sides apart
    names = (*option.opts, *option.secondary_opts)
    meaning = option.help or ""
    if option.multiple and "repeated" not in meaning:
        meaning = f"{meaning.rstrip('.')}; may be repeated."
    return Option(
        names, _value(option), meaning, _default(option), variable_of(prefix, option.opts)
    )


def _value(option: click.Option) -> str:
    if option.is_flag or option.count:
        return ""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(option.type.choices)
    return option.type.name.upper().split(" ")[0]


def _default(option: click.Option) -> str:
    if option.is_flag or option.count or option.multiple or option.default is None:
        return ""
    return str(option.default)
