"""The page of vcr.app: its public names, read off the sources, and an example that a test runs."""

import ast
import inspect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import vcr.app
from vcr.errors import VcrError
from vcr.reference.markdown import code, page, table
from vcr.reference.source import Definition, Source, definition, plain, read_source

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


def python_page() -> str:
    """Return the page of all public names."""
    found = {name: definition(name, module) for name, module in vcr.app.PUBLIC.items()}
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
    text = ast.get_docstring(read_source(package).tree) or ""
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
        yield from _signature(source, node)
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
        yield from table(("has", "which does"), list(_methods(source, node)))


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
        (code(name), code(module), _summary(definition(name, module)[1]))
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
    trees = [ast.parse(plain(annotation)) for annotation in found if annotation is not None]
    return {name.id for tree in trees for name in ast.walk(tree) if isinstance(name, ast.Name)}


def _signature(source: Source, node: ast.FunctionDef) -> Iterator[str]:
    """Yield the lines of a signature as the formatter would write it."""
    result = f" -> {plain(node.returns)}" if node.returns else ""
    parameters = [text for text in _parameters(source, node.args) if text not in {"self", "cls"}]
    one = f"{node.name}({', '.join(parameters)}){result}"
    if len(one) <= WIDTH:
        yield one
        return
    yield f"{node.name}("
    yield from (f"    {parameter}," for parameter in parameters)
    yield f"){result}"


def _parameters(source: Source, arguments: ast.arguments) -> Iterator[str]:
    ahead = [None] * (len(arguments.args) - len(arguments.defaults))
    for argument, default in zip(arguments.args, [*ahead, *arguments.defaults], strict=True):
        yield _parameter(source, argument, default)
    if arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(source, argument, default)


def _parameter(source: Source, argument: ast.arg, default: ast.expr | None) -> str:
    if argument.annotation is None:
        return argument.arg
    given = f" = {source.value(default)}" if default is not None else ""
    return f"{argument.arg}: {plain(argument.annotation)}{given}"


def _fields(source: Source, node: ast.ClassDef) -> Iterator[tuple[str, str, str, str]]:
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            default = "" if each.value is None else source.value(each.value)
            row = (code(each.target.id), code(plain(each.annotation)), code(default))
            yield (*row, source.comment(each))
        elif isinstance(each, ast.Assign) and ast.unparse(each.targets[0]).isupper():
            name = code(ast.unparse(each.targets[0]))  # a member of an enumeration
            yield name, "", code(source.value(each.value)), source.comment(each)


def _methods(source: Source, node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_"):
            is_property = any(ast.unparse(mark) == "property" for mark in each.decorator_list)
            shown = each.name if is_property else "".join(_signature(source, each))
            yield code(shown), " ".join((ast.get_docstring(each) or "").split())


def _summary(node: Definition) -> str:
    if isinstance(node, ast.TypeAlias):
        return code(plain(node.value))
    return (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
