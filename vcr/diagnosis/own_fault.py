"""Does the command of a health check itself fail, rather than what it asks?

Its exit code says so, or else what shells and usual programs print then: their words are the
same in bash, dash, busybox and the GNU programs. A page that is "404 Not Found" is no such word.
"""

import re

NOT_EXECUTABLE, NOT_FOUND = 126, 127  # POSIX, Shell Command Language, 2.8.2
_SHELL = r"^(?:\S*/)?(?:ba|da|a|k|z)?sh: (?:line )?(?:\d+: )?"
_BAD = r"\b(?:invalid|unrecogni[sz]ed|unknown|illegal|bad|unsupported|unexpected|no such)"
_WORDS = re.compile(
    "|".join((
        r"executable file",  # crun, of one that is not in $PATH
        rf"{_SHELL}[^\n]*: (?:command )?not found$",
        r"^env: [^\n]*: (?:No such file or directory|Permission denied)$",
        rf"{_BAD} (?:command[- ]line )?(?:options?|arguments?|flags?|switch(?:es)?)\b",
        r"^curl: option \S+ is ",
        r"\bflag provided but not defined\b",  # Go
        r"--help\W? for (?:more|usage)",
        r"multi-call binary",  # how busybox shows the usage of an applet
        r"\bsyntax error\b|\bunterminated quoted string\b",
        r"^(?:SyntaxError|ModuleNotFoundError|ImportError): |\bCannot find module ",
        r"can't open file '",  # Python, of its script
    )),
    re.MULTILINE | re.IGNORECASE,
)  # fmt: skip


def is_own_fault(code: int, text: str) -> bool:
    """Return whether a health command that ended with CODE and printed TEXT fails by itself."""
    return code in {NOT_EXECUTABLE, NOT_FOUND} or bool(_WORDS.search(text))
