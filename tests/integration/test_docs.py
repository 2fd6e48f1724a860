"""Every console example in the documents runs and prints what the document says.

A block fenced as ```console holds commands after "$ " and what they print to stdout;
progress, on stderr, is not compared. In the output "..." stands for anything on a line,
and a line "..." for any lines. Commands are sh's and must succeed; one that must not says
`; echo $?`. The blocks of one document are one session, which begins in the repository's
root with bin/vcr; `vcr` is the same program. "~/" is a directory of the test's own.

A document that needs what not every host has says so, <!-- needs: PROGRAM... -->, and is
skipped where that is missing. <!-- with: registry --> starts one that wants the password
"secret" of "user", at $REGISTRY.
"""

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from program import EXAMPLE, runner_in
from services import password_registry, toolset

from vcr.cli import vcr
from vcr.reference.command import read_command
from vcr.reference.man import man_pages

REPO = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"^<!-- needs: (.*) -->$", re.MULTILINE)
DOCUMENTS = [
    path
    for path in (*sorted(REPO.glob("*.md")), *sorted((REPO / "docs").rglob("*.md")))
    if FENCE.search(path.read_text())
]
# Carries directory and exported variables from one command to the next.
SESSION = """
[ ! -f "$1" ] || . "$1"
eval "$2"
code=$?
{ export -p; printf "cd '%s'\\n" "$PWD"; } > "$1"
exit $code
"""


@dataclass(frozen=True)
class Example:
    command: str
    output: tuple[str, ...]


def examples(text: str) -> Iterator[Example]:
    for block in FENCE.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *output = part.splitlines()
            yield Example(command, tuple(output))


def at_home(command: str, directory: Path) -> str:
    return re.sub(r"(?<![^\s=:])~(?=/)", shlex.quote(str(directory)), command)


def matches(expected: tuple[str, ...], actual: list[str]) -> bool:
    if not expected:
        return not actual
    if expected[0] == "...":
        return any(matches(expected[1:], actual[i:]) for i in range(len(actual) + 1))
    if not actual:
        return False
    pattern = "*".join(re.sub(r"([\[?*])", r"[\1]", part) for part in expected[0].split("..."))
    return fnmatch.fnmatchcase(actual[0], pattern) and matches(expected[1:], actual[1:])


def test_wildcards_match_what_they_should() -> None:
    assert matches(("a ... c", "..."), ["a b c", "x", "y"])
    assert matches(("...", "z"), ["x", "z"])
    assert not matches(("a [b]",), ["a b"])
    assert not matches(("a", "..."), ["b"])


def test_a_session_keeps_directory_and_variables(tmp_path: Path) -> None:
    session = Session(tmp_path)
    (tmp_path / "here").mkdir()
    assert session.run("cd ~/here; export A='b c'").returncode == 0
    assert session.run('pwd; echo "$A"').stdout == f"{tmp_path}/here\nb c\n"
    assert session.run("false").returncode == 1
    assert session.run("false; echo $?").stdout == "1\n"


class Session:
    """A shell of one document."""

    def __init__(self, directory: Path) -> None:
        # veritysetup, for verify.sh, and skopeo: not every host has them.
        tools = f"{toolset('build')}/usr/sbin:{toolset('oci')}/usr/bin"
        self.directory, self.state = directory, directory / "session"
        self.env = {
            **os.environ,
            "XDG_STATE_HOME": str(directory / "state"),
            "PATH": f"{REPO / 'bin'}:{os.environ['PATH']}:{tools}",
        }

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", SESSION, "sh", self.state, at_home(command, self.directory)],
            cwd=REPO,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def parameter(document: Path) -> ParameterSet:
    """Return the test parameter of DOCUMENT, marked with what its commands need."""
    commands = " ".join(FENCE.findall(document.read_text()))
    marks = [pytest.mark.kernel("enclave")] if "build enclave" in commands else []
    return pytest.param(document, id=str(document.relative_to(REPO)), marks=marks)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The example that the documents are about has been built, as they suppose."""
    with runner_in(tmp_path_factory.mktemp("built")) as vcr:
        vcr("build", EXAMPLE)


@pytest.mark.nix
@pytest.mark.vm
@pytest.mark.usefixtures("built")
@pytest.mark.limit(900)
@pytest.mark.parametrize("document", map(parameter, DOCUMENTS))
def test_the_examples_of(document: Path, tmp_path: Path) -> None:
    text = document.read_text()
    for words in NEEDS.findall(text):
        missing = [program for program in words.split() if shutil.which(program) is None]
        if missing:
            pytest.skip(f"needs {', '.join(missing)}")
    session = Session(tmp_path)
    with ExitStack() as stack:
        if "<!-- with: registry -->" in text:
            address = stack.enter_context(password_registry(tmp_path / "registry"))
            session.env["REGISTRY"] = address
        # What an example started, and failed before it stopped, does not stay behind.
        stack.callback(session.run, "vcr down --all -t 0 -q")
        run_all(session, text)


def run_all(session: Session, text: str) -> None:
    for example in examples(text):
        done = session.run(example.command)
        actual = [line.rstrip() for line in done.stdout.splitlines()]
        said = f"$ {example.command}\n{done.stderr}{done.stdout}"
        assert done.returncode == 0, f"{said}\nexit code {done.returncode}"
        assert matches(example.output, actual), f"{said}\nexpected:\n" + "\n".join(example.output)


@pytest.mark.nix
def test_the_package_has_the_pages_for_man() -> None:
    pages = toolset("vcr") / "share/man/man1"
    found = {path.name: path.read_text() for path in pages.iterdir()}
    assert found == man_pages(read_command(vcr))
