r"""Pages for man: vcr(1), and one for each verb.

man(7), https://man7.org/linux/man-pages/man7/groff_man.7.html. They have no date:
the same code gives the same bytes.
"""

from collections.abc import Iterable, Iterator

from vcr import __version__
from vcr.errors import ExitCode
from vcr.reference.command import Option, Verb

VARIABLES = {
    "VCR_FROM": "A directory of input files that you provide.",
    "VCR_MIRRORS": "List of PREFIX=REPLACEMENT: mirrors to ask while locking.",
    "VCR_SUBSTITUTERS": "Binary caches to use.",
    "VCR_TRUSTED_KEYS": "Keys whose signatures count.",
    "NO_COLOR, FORCE_COLOR, CI": "As everywhere.",
}
FILES = {
    "vcr.toml": "The settings of the project; every key is optional.",
    "vcr.lock": "Every input, pinned by hash; `vcr lock` writes it; commit it.",
    "$XDG_STATE_HOME/vcr": "Machines, and roots that keep outputs in the Nix store.",
    "$XDG_CACHE_HOME/vcr": "Files that can be made again.",
}


def man_pages(vcr: Verb) -> dict[str, str]:
    """Return the pages by the names of their files."""
    found = {"vcr.1": _text(_main(vcr))}
    for verb in vcr.verbs:
        found[f"{_page(verb)}.1"] = _text(_of_verb(verb))
    return found


def _page(verb: Verb) -> str:
    return "-".join(verb.words)


def _main(vcr: Verb) -> Iterator[str]:
    yield from _head("vcr", vcr.summary)
    yield from _synopsis([vcr])
    yield from _description(vcr.text)
    yield ".SH VERBS"
    for verb in vcr.verbs:
        yield from _item(f"\\fB{_escaped(_page(verb))}\\fR(1)", verb.summary)
    yield ".SH OPTIONS"
    yield _line("They may come before or after the verb.")
    yield from _options(vcr.options)
    yield ".SH EXIT STATUS"
    for code in ExitCode:
        yield from _item(f"\\fB{code.value}\\fR", code.meaning)
    yield ".SH ENVIRONMENT"
    yield _line(
        "Every option has a variable, such as VCR_PROGRESS, or VCR_BUILD_ARCH for one of a verb. "
        "An option takes precedence over a variable, a variable over vcr.toml, vcr.toml over the"
        " default."
    )
    for name, meaning in VARIABLES.items():
        yield from _item(f"\\fB{_escaped(name)}\\fR", meaning)
    yield ".SH FILES"
    for name, meaning in FILES.items():
        yield from _item(f"\\fI{_escaped(name)}\\fR", meaning)
    yield from _see_also(["nix", "qemu-system-riscv64"])


def _of_verb(verb: Verb) -> Iterator[str]:
    yield from _head(_page(verb), verb.summary)
    yield from _synopsis(verb.verbs or [verb])
    yield from _description(verb.text)
    yield from _titled("OPTIONS", verb.options)
    if verb.verbs:
        yield ".SH COMMANDS"
    for below in verb.verbs:
        yield f'.SS "{_escaped(below.name)}"'
        yield from _paragraphs(below.text)
        yield from _options(below.options)
    yield from _see_also(["vcr"])


def _head(name: str, summary: str) -> Iterator[str]:
    yield f'.TH "{_escaped(name.upper())}" "1" "" "vcr {_escaped(__version__)}" "vcr"'
    yield ".SH NAME"
    first = summary[:1].lower() + summary[1:].rstrip(".")
    yield f"{_escaped(name)} \\- {_escaped(first)}"


def _synopsis(verbs: Iterable[Verb]) -> Iterator[str]:
    yield ".SH SYNOPSIS"
    for number, verb in enumerate(verbs):
        if number:
            yield ".br"
        yield f"\\fB{_escaped(verb.name)}\\fR {_escaped(verb.usage)}".rstrip()


def _description(text: Iterable[str]) -> Iterator[str]:
    yield ".SH DESCRIPTION"
    yield from _paragraphs(text)


def _paragraphs(text: Iterable[str]) -> Iterator[str]:
    for number, paragraph in enumerate(text):
        if paragraph.startswith(" "):
            yield ".PP"
            yield ".RS 4\n.nf"
            yield from (_line(line.strip()) for line in paragraph.splitlines())
            yield ".fi\n.RE"
        else:
            if number:
                yield ".PP"
            yield _line(" ".join(paragraph.splitlines()))


def _titled(title: str, options: tuple[Option, ...]) -> Iterator[str]:
    yield f".SH {title}"
    if options:
        yield from _options(options)
        yield ".PP"
    yield "Those of \\fBvcr\\fR(1) are taken, too."


def _options(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in option.names)
        value = f" \\fI{_escaped(option.value)}\\fR" if option.value else ""
        default = f" (default: {option.default})" if option.default else ""
        yield from _item(names + value, option.meaning.rstrip(".") + default + ".")


def _item(label: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield label
    yield _line(text)


def _see_also(names: Iterable[str]) -> Iterator[str]:
    yield ".SH SEE ALSO"
    yield ", ".join(f"\\fB{_escaped(name)}\\fR(1)" for name in names)


def _line(text: str) -> str:
    """Return TEXT as a line that is not a request of roff."""
    escaped = _escaped(text)
    return f"\\&{escaped}" if escaped[:1] in {".", "'"} else escaped


def _escaped(text: str) -> str:
    """Return TEXT so that roff shows it as it is; a hyphen can be copied as one."""
    for plain, special in (("\\", "\\e"), ("-", "\\-"), ("`", "\\(ga"), ("'", "\\(aq"),
                           ('"', "\\(dq")):  # fmt: skip
        text = text.replace(plain, special)
    return "".join(each if each.isascii() else f"\\[u{ord(each):04X}]" for each in text)


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
