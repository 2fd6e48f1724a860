"""The rules of the code that a reviewer should not have to check by hand."""

import ast
import re
from pathlib import Path

import pytest

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
    ("model", "formats"),
    ("foreign", "escape"),
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


BUILDERS = [
    *sorted(p for room in ("sandbox", "formats") for p in (PACKAGE / room).glob("*.py")),
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


def test_nothing_is_imported_of_a_conftest() -> None:
    """There is one in each directory: which is found depends on what else is run."""
    texts = {path: path.read_text() for path in (REPO / "tests").glob("*/*.py")}
    assert not [
        path for path, text in texts.items() if re.search(r"^from conftest", text, re.MULTILINE)
    ]
