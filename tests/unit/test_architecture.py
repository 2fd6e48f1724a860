"""The rules of the code that a reviewer should not have to check by hand."""

import ast
import graphlib
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from vcr.cli import HIDDEN, VERBS

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "vcr"
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the top down; a module may import from its own layer and from lower ones only.
LAYERS = (
    ("cli",),
    ("reference",),
    ("app",),
    ("attest", "export", "perf", "verify", "report"),
    ("build", "runtime"),
    ("planner",),
    ("lock", "dockerfile", "engines"),
    ("agent", "tools"),
    ("ui", "progress", "process", "atomic", "flock", "private", "beneath"),
    ("child_output", "command_log", "settings", "signals", "limits"),
    ("sandbox",),
    ("diagnosis",),
    ("model", "formats"),
    ("foreign", "escape", "words"),
    ("errors",),
)
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
MAX_MODULES = 20
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40
MAX_NESTING = 3


def imported_parts(path: Path) -> set[str]:
    """Names directly under vcr that the module at PATH imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts[0] == "vcr":
                found |= {parts[1]} if parts[1:] else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("vcr.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    upward = {name for name in imported_parts(path) if LEVEL[name] < LEVEL[own]}
    assert not upward, f"{own} may not import {upward}"


def name_of(path: Path) -> str:
    """Return the name by which the module at PATH, of vcr, is imported."""
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(name: str, text: str, known: frozenset[str]) -> set[str]:
    """Return which of the KNOWN modules the module NAME, which is TEXT, imports anywhere.

    Importing a module imports the packages that it is in, too; only NAME's own are left out,
    since no module is there without them. What stands below TYPE_CHECKING counts like the rest.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    for each in tuple(found):
        found |= {each.rsplit(".", count)[0] for count in range(1, each.count(".") + 1)}
    return {each for each in found & known if not f"{name}.".startswith(f"{each}.")}


def circle_in(texts: Mapping[str, str]) -> list[str]:
    """Return modules of TEXTS, by name, that import one another in a circle; [] for none."""
    known = frozenset(texts)
    graph = {name: imports_of(name, text, known) for name, text in texts.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_modules_import_one_another_in_a_circle() -> None:
    """Whether at the top or in a function: what needs each other is one module, or three."""
    assert not circle_in({name_of(path): path.read_text() for path in MODULES})


@pytest.mark.parametrize(
    "second", ["import vcr.a\n", "def f():\n    from vcr import a\n", "from vcr.a.c import d\n"]
)
def test_a_circle_is_found(second: str) -> None:
    texts = {"vcr": "", "vcr.a": "from vcr.b import c\n", "vcr.a.c": "", "vcr.b": second}
    assert set(circle_in(texts)) == {"vcr.a", "vcr.b"}
    assert not circle_in({**texts, "vcr.b": "import os\n"})


def test_no_verb_uses_the_command_of_another() -> None:
    """What two verbs do is in vcr.app; what they share of the command line is of no verb."""
    verbs = {f"vcr.cli.{module}" for module in (VERBS | HIDDEN).values()}
    for path in sorted((PACKAGE / "cli").rglob("*.py")):
        others = verbs - {name_of(path)}
        assert not imports_of(name_of(path), path.read_text(), frozenset(others)), path.name


def test_the_command_line_does_no_work_itself() -> None:
    """It turns options into arguments of vcr.app, and results into text or JSON."""
    work = {"planner", "dockerfile", "engines", "tools", "sandbox"}
    for path in sorted((PACKAGE / "cli").rglob("*.py")):
        assert not imported_parts(path) & work, path.name


BUILDERS = [
    *sorted(p for room in ("sandbox", "formats") for p in (PACKAGE / room).rglob("*.py")),
    PACKAGE / "model/board.py",
]
BOARD = "from vcr.model.board import "


@pytest.mark.parametrize("path", BUILDERS, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_what_builders_run_stands_alone(path: Path) -> None:
    """Nix reads their imports line by line: a module, or names of modules on the same line."""
    text = path.read_text()
    alone = {part for part in imported_parts(path) if BOARD not in text or part != "model"}
    assert alone <= {"sandbox", "formats"}, "builders have nothing else of vcr"
    assert text.count("from vcr.model") == text.count(BOARD)
    assert not re.findall(r"^ +(?:from|import) vcr", text, re.MULTILINE)
    assert not re.findall(r"^import vcr", text, re.MULTILINE)
    assert not re.findall(r"^from vcr\.\w+ import \(", text, re.MULTILINE)


NAMED = ("sandbox", "formats", "engines", "agent", "planner", "build", "tools")
PARSED = re.compile(
    r"\b(told|said|words|found|wanted)\b(: dict\[str, (Any|object)\]|: Mapping"
    r"|[^=\n]*=.*\b(json\.loads|load_json)\b)"
)


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.relative_to(PACKAGE).parts[0] in NAMED],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_a_mapping_is_called_what_it_is(path: Path) -> None:
    """Such as settings, a reply, a manifest; better still, it is a record."""
    assert [line for line in path.read_text().splitlines() if PARSED.search(line)] == []


def test_no_package_is_overfull() -> None:
    for package in {path.parent for path in MODULES}:
        names = [path.stem for path in package.glob("*.py") if path.stem != "__init__"]
        assert len(names) <= MAX_MODULES, f"{package.name}: {len(names)} modules"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"
            assert nesting(node) <= MAX_NESTING, f"{node.name} nests too deep"


def nesting(node: ast.AST) -> int:
    """Depth of the control structures below NODE; a chain of elif is one level."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        block = isinstance(child, ast.If | ast.For | ast.While | ast.With | ast.Try | ast.Match)
        is_elif = isinstance(node, ast.If) and [child] == node.orelse
        deepest = max(deepest, nesting(child) + (block and not is_elif))
    return deepest


def test_the_flake_is_short_and_has_no_inputs() -> None:
    text = (REPO / "flake.nix").read_text()
    assert len(text.splitlines()) <= 80
    assert "inputs = { };" in text


def test_no_catch_all_modules() -> None:
    names = {path.stem for path in MODULES}
    assert not names & {"utils", "helpers", "common", "manager", "misc"}


def test_no_two_test_modules_have_one_name() -> None:
    """Pytest imports them by it, and only a run of all directories would tell."""
    names = [path.name for path in (REPO / "tests").glob("*/test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_there_is_one_conftest() -> None:
    """mypy checks one module of a name at a time, and takes as long for each."""
    assert list((REPO / "tests").rglob("conftest.py")) == [REPO / "tests/conftest.py"]


def test_nothing_is_imported_of_a_conftest() -> None:
    """Fixtures are there without; what else is shared is in a module beside it."""
    texts = {path: path.read_text() for path in (REPO / "tests").glob("*/*.py")}
    assert not [
        path for path, text in texts.items() if re.search(r"^from conftest", text, re.MULTILINE)
    ]
