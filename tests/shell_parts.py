"""Shell that lies in files of another language: builders in Nix, commands of workflows.

Each part becomes a text that a shell could read: what Nix or the workflow puts in is a word
instead. A part begins at its own line of the file, so that a message has the right number.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

# A string of several lines. Its end is not ''', ''$ or ''\, which stand for other characters.
_STRING = re.compile(r"''\n(.*?)(?<!')''(?![$'\\])", re.DOTALL)
_COMMAND = re.compile(r"^\s*(?:- )?run: (.*)$", re.MULTILINE)
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}")
_WORD = "/nix/store/word"
_DOLLAR = "\0"


def parts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line, from 1, and the text of each part of shell in the file at PATH."""
    text = path.read_text()
    if path.suffix == ".nix":
        for match in _STRING.finditer(text):
            dedented = textwrap.dedent(match[1].replace("''$", _DOLLAR))
            yield _line(text, match.start(1)), _filled(dedented).replace(_DOLLAR, "$")
    else:
        for match in _COMMAND.finditer(text):
            yield _line(text, match.start(1)), _EXPRESSION.sub("word", match[1]) + "\n"


def write_parts(path: Path, directory: Path) -> Iterator[Path]:
    """Write each part of the file at PATH into DIRECTORY, at its line, and yield the files."""
    for line, text in parts(path):
        target = directory / f"{path.parent.name}-{path.name}.{line}"
        target.write_text("\n" * (line - 1) + text)
        yield target


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _filled(text: str) -> str:
    """Return TEXT with a word for each ${...} of Nix, which may have braces and lines in it."""
    out, at = "", 0
    while (begin := text.find("${", at)) >= 0:
        end, depth = begin + 2, 1
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        out += text[at:begin] + _WORD
        at = end
    return out + text[at:]
