"""The graph of a build: who needs whom, and how it is drawn."""

from pathlib import Path
from xml.etree import ElementTree as ET

from vcr.report.graph import Node, graph_of, roots_of
from vcr.report.graph_svg import draw
from vcr.tools.nix import Target


def derivation(directory: Path, name: str, *inputs: str) -> Path:
    """Write a .drv file as Nix does."""
    path = directory / f"{name}.drv"
    needed = ",".join(f'("{directory / needed}.drv",["out"])' for needed in sorted(inputs))
    path.write_text(f'Derive([],[{needed}],[],"x","/bin/sh",[],[])')
    return path


def targets(directory: Path, names: list[str]) -> dict[str, Target]:
    return {
        name: Target(name, directory / f"{name}.drv", directory / name, is_built=name != "rootfs")
        for name in names
    }


def test_needs_are_found_through_what_is_no_node_and_said_once(tmp_path: Path) -> None:
    derivation(tmp_path, "compiler")
    derivation(tmp_path, "base", "compiler")
    derivation(tmp_path, "lower", "base", "compiler")
    derivation(tmp_path, "step", "lower", "compiler")
    derivation(tmp_path, "image", "base", "step")  # base is needed by way of step
    derivation(tmp_path, "rootfs", "image")
    derivation(tmp_path, "kernel", "compiler")
    names = ["base", "step", "image", "rootfs", "kernel"]
    graph = graph_of(targets(tmp_path, names), {"step": "run make"})
    assert {name: node.needs for name, node in graph.items()} == {
        "base": (),
        "step": ("base",),
        "image": ("step",),
        "rootfs": ("image",),
        "kernel": (),
    }
    assert graph["step"] == Node("step", "run make", is_built=True, needs=("base",))
    assert not graph["rootfs"].is_built
    assert roots_of(graph) == ("rootfs", "kernel")


def test_the_drawing_is_xml_with_every_node_below_what_it_needs() -> None:
    graph = {
        "base": Node(
            "base", "a <base> & more, with a label too long for its place", is_built=True, needs=()
        ),
        "other": Node("other", "", is_built=False, needs=()),
        "image": Node("image", "", is_built=False, needs=("base", "other")),
    }
    svg = draw(graph)
    assert svg == draw(graph)
    root = ET.fromstring(svg)  # noqa: S314 -- our own
    space = {"svg": "http://www.w3.org/2000/svg"}
    top = [int(rect.attrib["y"]) for rect in root.findall("svg:rect", space)]
    assert top[0] == top[1] < top[2]
    assert len(root.findall("svg:path", space)) == 2
    title = root.find("svg:text/svg:title", space)
    assert title is not None
    assert title.text == graph["base"].label


def test_a_drawing_of_hostile_names_is_xml() -> None:
    name = "a\x1b[2J\u202e\x00\udcff<b>"
    svg = draw({name: Node(name, name, is_built=True, needs=())})
    svg.encode()
    ET.fromstring(svg)  # noqa: S314 -- our own
    assert "\u202e" not in svg
