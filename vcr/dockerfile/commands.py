"""Which programs the shell text of a RUN calls, as far as its words say."""

import re

# What the shell itself has or reads, and what precedes a command: POSIX 1003.1, XCU 2.4 and 2.15.
_NONE = frozenset([
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac",
    "in", "select", "function", "time", "true", "false", "test", "echo", "printf", "cd", "exit",
    "return", "export", "set", "unset", "umask", "ulimit", "wait", "trap", "exec", "eval",
    "shift", "read", "command", "type", "alias", "local", "readonly", "break", "continue",
])  # fmt: skip
# What may precede a command, in any number: words of the shell, options, variables. Nothing is
# tried twice, however long a stranger's text is.
_WORDS = (
    r"(?:if|then|else|elif|do|while|until|exec|command|sudo|xargs|!"
    r"|set[ \t]+[-+]\S+|[A-Za-z_]\w*=\S*)[ \t]+"
)
_COMMAND = re.compile(
    rf"(?:^|[;&|(){{}}\n`])[ \t]*+(?:{_WORDS})*+"
    r"([A-Za-z0-9_./+-]*[A-Za-z0-9_+])(?=$|[\s;&|)`])"
)
_TEXT = re.compile(r"'[^']*'|\"(?:[^\"\\$`]|\\.)*\"")


def commands_of(text: str) -> tuple[str, ...]:
    """Return the names of the programs that TEXT, of a shell, calls, each once, without paths."""
    bare = _TEXT.sub("''", text)
    names = (match[1].rpartition("/")[2] for match in _COMMAND.finditer(bare))
    return tuple(dict.fromkeys(name for name in names if name not in _NONE))
