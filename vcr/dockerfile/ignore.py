""".dockerignore: which files are not part of the build context.

The last pattern that matches a path or one of its parents decides; `!` takes
back. https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

import posixpath
from dataclasses import dataclass
from pathlib import Path

from vcr.errors import UsageError
from vcr.foreign import MAX_TEXT, read_text
from vcr.formats.match import Pattern, compile_pattern

MAX_RULES = 2000  # each is compared with every path


@dataclass(frozen=True)
class _Rule:
    pattern: Pattern
    negated: bool


@dataclass(frozen=True)
class Ignore:
    """The rules of one .dockerignore file."""

    rules: tuple[_Rule, ...] = ()

    @classmethod
    def parse(cls, text: str, file: str = ".dockerignore") -> "Ignore":
        """Read the rules in TEXT; raises UsageError with the line of a bad pattern."""
        rules: list[_Rule] = []
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
            pattern = line.strip()
            if not pattern or line.startswith("#"):
                continue
            negated = pattern.startswith("!")
            pattern = pattern.removeprefix("!").strip()
            if negated and not pattern:
                raise UsageError(
                    f"{file}:{number}: nothing follows the !", fix="write !PATTERN, or remove it"
                )
            cleaned = posixpath.normpath(pattern).lstrip("/")
            if len(rules) == MAX_RULES:
                raise UsageError(f"{file}:{number}: there are more than {MAX_RULES} patterns")
            if pattern and cleaned not in {"", "."}:
                rules.append(_Rule(_compile(cleaned, f"{file}:{number}"), negated))
        return cls(tuple(rules))

    def ignores(self, path: str) -> bool:
        """Return whether PATH (relative, with slashes) is left out of the context."""
        parts, matched = path.split("/"), frozenset[int]()
        for count in range(len(parts)):
            matched = self.matched("/".join(parts[: count + 1]), matched)
        return self.leaves_out(matched)

    def matched(self, path: str, above: frozenset[int]) -> frozenset[int]:
        """Return which rules match PATH or a parent of it; ABOVE are those of its parent."""
        return above.union(
            number
            for number, rule in enumerate(self.rules)
            if number not in above and rule.pattern.match(path)
        )

    def leaves_out(self, matched: frozenset[int]) -> bool:
        """Return whether a path that these rules match is left out: the last of them decides."""
        return bool(matched) and not self.rules[max(matched)].negated

    @property
    def takes_back(self) -> bool:
        """Return whether something below an ignored directory may be part of the context."""
        return any(rule.negated for rule in self.rules)


def load_ignore(path: Path | None) -> Ignore:
    """Read the file at PATH, of a Project; raises UsageError."""
    if path is None:
        return Ignore()
    try:
        return Ignore.parse(read_text(path, MAX_TEXT), path.name)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path.name}", why=str(error)) from None


def _compile(pattern: str, where: str) -> Pattern:
    try:
        return compile_pattern(pattern, double_star=True)
    except ValueError as error:
        raise UsageError(f"{where}: {error}", fix="see the syntax of .dockerignore") from None
