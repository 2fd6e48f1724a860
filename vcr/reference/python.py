"""The page of vcr.app: its public names, read off the sources, and an example that a test runs."""

import ast
import inspect
import io
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import vcr.app
from vcr.errors import VcrError
from vcr.reference.markdown import code, page, table

WIDTH = 96  # columns of a signature; a longer one has a line for each parameter
# At most twenty lines, which tests/integration/test_python.py runs.
EXAMPLE = """\
from pathlib import Path
from urllib.request import urlopen

from vcr import app

context = app.Context(Path("examples/static"))

built = app.build(context)
for rung in built.ladder:
    print(rung.name, rung.digest)

machine = app.up(context)
try:
    with urlopen(machine.urls[0]) as answer:
        print(answer.read().decode())
finally:
    app.down(context)

app.verify(context, app.claim_of(built.plan.terms, built.ladder)).check()
"""

type Definition = ast.FunctionDef | ast.ClassDef | ast.TypeAlias


@dataclass(frozen=True)
class Source:
    """The source of a module."""

    tree: ast.Module
    comments: dict[int, str]  # by line
    bare: frozenset[int]  # lines that are a comment and nothing else
    names: dict[str, str]  # of vcr's that it imports or defines → the module that has them

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


def python_page() -> str:
    """Return the page of all public names."""
    found = {name: _definition(name, module) for name, module in vcr.app.PUBLIC.items()}
    return page(
        "vcr as a Python library",
        _beginning(),
        _contents(found),
        _errors(),
        *(_section(name, *each) for name, each in found.items()),
        _others(found.values()),
    )


def _contents(found: Mapping[str, tuple[Source, Definition]]) -> Iterator[str]:
    """Yield a table of names for each room of vcr.app; what is of no room goes with the next."""
    rows: list[tuple[str, str]] = []
    rooms = [_room(module) for module in vcr.app.PUBLIC.values()]
    following = [next((room for room in rooms[at:] if room), "") for at in range(len(rooms))]
    before = ""
    for room, anchor, (name, (_, node)) in zip(
        following, _anchors(found), found.items(), strict=True
    ):
        if room != before:
            yield from (*table(("name", "is"), rows), "") if rows else ()
            yield from (f"**{room}**", "")
            before, rows = room, []
        rows.append((f"[`{name}`](#{anchor})", _summary(node)))
    yield from table(("name", "is"), rows)


def _room(module: str) -> str:
    """Return what the room of MODULE is about, "" for a module that is in none of vcr.app."""
    package = module.rpartition(".")[0]
    if not package.startswith(f"{vcr.app.__name__}."):
        return ""
    text = ast.get_docstring(_source(package).tree) or ""
    return text.removeprefix("Use-cases: ").rstrip(".").capitalize()


def _anchors(names: Iterable[str]) -> Iterator[str]:
    """Yield the anchors of headings: GitHub's, which knows no capitals and counts."""
    seen: Counter[str] = Counter()
    for name in names:
        anchor = name.lower()
        yield f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor
        seen[anchor] += 1


def _beginning() -> Iterator[str]:
    yield "What each verb does is a function of `vcr.app` with typed arguments and a typed result."
    yield "It prints nothing: results are returned, failures are raised, and progress, notes and"
    yield "warnings go to the `Ui` of the `Context`, which shows nothing unless it is given another"
    yield "one (`vcr.ui.Ui()` writes to stderr). Names are imported when they are first used."
    yield ""
    yield "In `nix develop`, which has the packages that vcr imports, and with the repository in"
    yield "`PYTHONPATH`, this builds a project, starts it, asks it, and verifies that a second"
    yield "build has the same digests:"
    yield ""
    yield "```python"
    yield from EXAMPLE.splitlines()
    yield "```"
    yield ""
    yield "In the signatures below, a word in capitals is the parameter of that name."


def _errors() -> Iterator[str]:
    yield "## Errors"
    yield ""
    yield "All are kinds of `vcr.errors.VcrError`: `what` went wrong, `why`, and how to `fix` it,"
    yield "with `details`, rows of a label and a text, and `tail`, the last output of what failed."
    yield "Another exception is a bug in vcr."
    yield ""
    kinds = [VcrError, *sorted(VcrError.__subclasses__(), key=lambda kind: kind.code)]
    own = [kind for kind in kinds if kind.__module__ == VcrError.__module__]
    rows = [(code(kind.__name__), str(kind.code.value), inspect.getdoc(kind) or "") for kind in own]
    yield from table(("error", "exit code of vcr", "means"), rows)


def _section(name: str, source: Source, node: Definition) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield "```python"
    if isinstance(node, ast.FunctionDef):
        yield from _signature(node)
    else:
        yield f"class {name}"
    yield "```"
    yield ""
    if not isinstance(node, ast.TypeAlias):
        yield inspect.cleandoc(ast.get_docstring(node) or "")
    if isinstance(node, ast.ClassDef):
        yield ""
        yield from table(("field", "type", "default", "means"), list(_fields(source, node)))
        yield ""
        yield from table(("has", "which does"), list(_methods(node)))


def _others(found: Iterable[tuple[Source, Definition]]) -> Iterator[str]:
    """Yield where the types are that signatures name and that are not public names."""
    places = {}
    for source, node in found:
        for name in sorted(_types(node) - vcr.app.PUBLIC.keys()):
            if name in source.names and not name.isupper():  # a constant
                places[name] = source.names[name]
    yield "## Other types"
    yield ""
    rows = [
        (code(name), code(module), _summary(_definition(name, module)[1]))
        for name, module in sorted(places.items())
    ]
    yield from table(("type", "of the module", "is"), rows)


def _types(node: Definition) -> set[str]:
    """Return the names in the annotations of what is public in NODE."""
    found: list[ast.expr | None] = []
    for each in [node, *(node.body if isinstance(node, ast.ClassDef) else ())]:
        if isinstance(each, ast.AnnAssign):
            found.append(each.annotation)
        elif isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            arguments = [*each.args.args, *each.args.kwonlyargs]
            found += [each.returns, *(argument.annotation for argument in arguments)]
    trees = [ast.parse(_plain(annotation)) for annotation in found if annotation is not None]
    return {name.id for tree in trees for name in ast.walk(tree) if isinstance(name, ast.Name)}


def _signature(node: ast.FunctionDef) -> Iterator[str]:
    """Yield the lines of a signature as the formatter would write it."""
    result = f" -> {_plain(node.returns)}" if node.returns else ""
    parameters = [text for text in _parameters(node.args) if text not in {"self", "cls"}]
    one = f"{node.name}({', '.join(parameters)}){result}"
    if len(one) <= WIDTH:
        yield one
        return
    yield f"{node.name}("
    yield from (f"    {parameter}," for parameter in parameters)
    yield f"){result}"


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    ahead = [None] * (len(arguments.args) - len(arguments.defaults))
    for argument, default in zip(arguments.args, [*ahead, *arguments.defaults], strict=True):
        yield _parameter(argument, default)
    if arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default)


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    if argument.annotation is None:
        return argument.arg
    given = f" = {ast.unparse(default)}" if default is not None else ""
    return f"{argument.arg}: {_plain(argument.annotation)}{given}"


def _fields(source: Source, node: ast.ClassDef) -> Iterator[tuple[str, str, str, str]]:
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            row = (code(each.target.id), code(_plain(each.annotation)), code(_default(each.value)))
            yield (*row, source.comment(each))
        elif isinstance(each, ast.Assign) and ast.unparse(each.targets[0]).isupper():
            name = code(ast.unparse(each.targets[0]))  # a member of an enumeration
            yield name, "", code(ast.unparse(each.value)), source.comment(each)


def _default(value: ast.expr | None) -> str:
    """Return a default; of a field that is made again each time, what makes it."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        made = {each.arg: ast.unparse(each.value) for each in value.keywords}
        return f"{made['default_factory']}()" if "default_factory" in made else ""
    return ast.unparse(value) if value is not None else ""


def _methods(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            is_property = any(ast.unparse(mark) == "property" for mark in each.decorator_list)
            shown = each.name if is_property else "".join(_signature(each))
            yield code(shown), " ".join((ast.get_docstring(each) or "").split())


def _summary(node: Definition) -> str:
    if isinstance(node, ast.TypeAlias):
        return code(_plain(node.value))
    return (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")


def _plain(annotation: ast.expr) -> str:
    """Return an annotation without the quotes of a name that is not imported."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return ast.unparse(annotation)


def _definition(name: str, module: str) -> tuple[Source, Definition]:
    source = _source(module)
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return source, node
        if isinstance(node, ast.TypeAlias) and node.name.id == name:
            return source, node
    raise LookupError(f"{module} defines no {name}")


@cache
def _source(module: str) -> Source:
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
    return Source(tree, comments, frozenset(bare), dict(_names(module, tree)))


def _names(module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vcr."):
            yield from ((alias.name, str(node.module)) for alias in node.names)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name, module
        elif isinstance(node, ast.TypeAlias):
            yield node.name.id, module
