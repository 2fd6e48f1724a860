"""What instructions are called while they are built: their words, numbered as BuildKit does."""

import json
from pathlib import Path

from test_plan import Planner, plan

from vcr.build.follow import Instructions
from vcr.tools.nix import Evaluation
from vcr.tools.nix_log import Layer

__all__ = ("plan",)


def named(plan: Planner, dockerfile: str) -> list[str]:
    return list(plan(dockerfile).titles.values())


def test_from_and_what_makes_layers_are_counted(plan: Planner) -> None:
    text = 'FROM deb\nENV A=b\nWORKDIR /\nrun  echo \\\n   $A\nCOPY --chown=1 app.py /\nCMD ["x"]\n'
    assert named(plan, text) == [
        "[1/4] FROM deb",
        "[2/4] WORKDIR /",
        "[3/4] RUN echo $A",
        "[4/4] COPY --chown=1 app.py /",
    ]


def test_stages_are_named_where_there_are_several(plan: Planner) -> None:
    text = (
        "FROM deb AS build\nRUN make\n"
        "FROM build\nRUN test\n"
        "FROM scratch\nCOPY --from=build / /\nCOPY --from=img /a /b\nCOPY --from=1 /x /y\n"
    )
    assert named(plan, text) == [
        "[build 1/2] FROM deb",
        "[build 2/2] RUN make",
        "[stage-1 1/1] RUN test",
        "[stage-2 1/3] COPY --from=build / /",
        "[stage-2 2/3] COPY --from=img /a /b",
        "FROM img",
        "[stage-2 3/3] COPY --from=1 /x /y",
    ]


def test_a_stage_that_is_not_needed_has_no_titles(plan: Planner) -> None:
    text = "FROM deb AS other\nRUN x\nFROM scratch\nCOPY app.py /\n"
    assert named(plan, text) == ["[stage-1 1/1] COPY app.py /"]


def test_platforms_are_named_where_there_are_several(plan: Planner) -> None:
    """As BuildKit names them; stages of the build platform are for linux/amd64."""
    text = (
        "FROM --platform=$BUILDPLATFORM deb AS build\nRUN make\n"
        "FROM deb\nCOPY --from=build / /\nCOPY --from=img /a /b\n"
    )
    assert named(plan, text) == [
        "[linux/amd64 build 1/2] FROM deb",
        "[linux/amd64 build 2/2] RUN make",
        "[linux/riscv64 stage-1 1/3] FROM deb",
        "[linux/riscv64 stage-1 2/3] COPY --from=build / /",
        "[linux/riscv64 stage-1 3/3] COPY --from=img /a /b",
        "[linux/riscv64] FROM img",
    ]
    assert named(plan, text.replace("--platform=$BUILDPLATFORM ", ""))[0] == "[build 1/2] FROM deb"


def test_a_base_that_stages_share_is_named_once(plan: Planner) -> None:
    text = "FROM deb AS a\nRUN x\nFROM deb\nCOPY --from=a / /\n"
    assert sorted(named(plan, text)) == [
        "[a 1/2] FROM deb", "[a 2/2] RUN x", "[stage-1 2/2] COPY --from=a / /",
    ]  # fmt: skip


def test_numbers_are_as_wide_as_the_last(plan: Planner) -> None:
    names = named(plan, "FROM deb\n" + "RUN x\n" * 9)
    assert names[0] == "[ 1/10] FROM deb"
    assert names[-1] == "[10/10] RUN x"


def test_a_here_document_is_known_by_its_first_line(plan: Planner) -> None:
    text = "FROM scratch\nCOPY <<EOF /x\n\nhello\nworld\nEOF\nCOPY <<A /y\none\nA\n"
    assert named(plan, text) == ["[1/2] COPY <<EOF /x (hello…)", "[2/2] COPY <<A /y (one)"]


def test_an_endless_instruction_is_cut(plan: Planner) -> None:
    (name,) = named(plan, "FROM scratch\nCOPY " + "app.py " * 5000 + "/x/\n")
    assert len(name) < 1100
    assert name.endswith("…")


def test_titles_are_no_part_of_what_nix_gets(plan: Planner) -> None:
    made = plan("FROM deb\nRUN x\n")
    assert made.titles
    assert "titles" not in json.loads(made.to_json())


def test_instructions_are_found_by_their_derivations(plan: Planner) -> None:
    """Nix gives the layers in the order of their ids' bytes, which is not the Dockerfile's."""
    made = plan("FROM deb\nRUN b\nWORKDIR /\n" + "RUN x\n" * 9)
    idents = sorted(made.layers)
    layers = tuple(Layer(Path(f"/{ident}.drv"), Path(f"/{ident}")) for ident in idents)
    missing = (Path("/0.1.run.drv"), Path("/0.10.run.drv"))
    found = Instructions.of(made, Evaluation((), missing, layers))
    assert found.titles["/base.deb.drv"] == "[ 1/12] FROM deb"
    assert found.titles["/0.10.run.drv"] == "[11/12] RUN x"
    assert found.idents["/0.3.run.drv"] == "0.3.run"
    assert found.outputs["/0.1.run.drv"] == "/0.1.run"
    assert len(found.cached) == 10
    assert found.cached[:2] == ("[ 1/12] FROM deb", "[ 3/12] WORKDIR /")
    assert Instructions.of(made, Evaluation((), missing)).cached == ()
