"""Sources of modules, as the page of the library quotes them: definitions, comments, names."""

import ast
import io
import json
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

type Definition = ast.FunctionDef | ast.ClassDef | ast.TypeAlias


@dataclass(frozen=True)
class Source:
    """The source of a module."""

    module: str
    tree: ast.Module
    comments: dict[int, str]  # by line
    bare: frozenset[int]  # lines that are a comment and nothing else
    names: dict[str, str]  # of vcr's that it imports or defines → the module that has them

    def value(self, expression: ast.expr) -> str:
        """Return a default as it is written, or the word or number that a constant stands for.

        Of a field that is made again each time, return what makes it.
        """
        if isinstance(expression, ast.Name) and expression.id.isupper():
            found = getattr(import_module(self.module), expression.id)
            return json.dumps(found) if isinstance(found, str | int | float) else expression.id
        if isinstance(expression, ast.Call) and ast.unparse(expression.func) == "field":
            made = {each.arg: ast.unparse(each.value) for each in expression.keywords}
            return f"{made['default_factory']}()" if "default_factory" in made else ""
        return _double_quoted(expression)

    def comment(self, node: ast.stmt) -> str:
        """Return what is said of NODE: beside it, or else in the lines above it."""
        beside = self.comments.get(node.end_lineno or 0, "")
        if beside:
            return beside
        above: list[str] = []
        line = node.lineno - 1
        while line in self.bare:
            above.insert(0, self.comments[line])
            line -= 1
        return " ".join(above)


def definition(name: str, module: str) -> tuple[Source, Definition]:
    """Return the source of MODULE and what defines NAME there; raises LookupError."""
    source = read_source(module)
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return source, node
        if isinstance(node, ast.TypeAlias) and node.name.id == name:
            return source, node
    raise LookupError(f"{module} defines no {name}")


@cache
def read_source(module: str) -> Source:
    """Return the source of MODULE."""
    spec = find_spec(module)
    assert spec is not None  # noqa: S101 -- for mypy: the package has it, as a test checks
    assert spec.origin is not None  # noqa: S101
    text = Path(spec.origin).read_text(encoding="utf-8")
    comments, bare = {}, set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0]] = token.string.lstrip("# ")
            if token.line.lstrip().startswith("#"):
                bare.add(token.start[0])
    tree = ast.parse(text)
    return Source(module, tree, comments, frozenset(bare), dict(_names(module, tree)))


def _names(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vcr."):
            yield from ((alias.name, str(node.module)) for alias in node.names)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name, module
        elif isinstance(node, ast.TypeAlias):
            yield node.name.id, module


def plain(annotation: ast.expr) -> str:
    """Return an annotation without the quotes of a name that is not imported."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return _double_quoted(annotation)


def _double_quoted(expression: ast.expr) -> str:
    """Return EXPRESSION, whose strings hold no quotes, with those of this project."""
    return ast.unparse(expression).replace("'", '"')
