import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from vcr.build.reason import FIRST, why_built
from vcr.tools.derivation import Derivation

REPO = Path(__file__).resolve().parents[2]
HASHES = iter(f"{n:032d}" for n in range(10_000))


def write_drv(
    store: Path,
    name: str,
    *,
    inputs: Sequence[Path] = (),
    sources: Sequence[Path] = (),
    env: str = "",
    out: str = "/x",
) -> Path:
    path = store / f"{next(HASHES)}-{name}.drv"
    drvs = ",".join(f'("{drv}",["out"])' for drv in inputs)
    srcs = ",".join(f'"{source}"' for source in sources)
    path.write_text(
        f'Derive([("out","{out}","","")],[{drvs}],[{srcs}],"x86_64-linux","/b",["-c"],'
        f'[("env","{env}"),("name","{name}")])'
    )
    return path


def make_tree(store: Path, name: str, files: dict[str, str]) -> Path:
    root = store / f"{next(HASHES)}-{name}"
    for file, content in files.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_a_derivation_is_read(tmp_path: Path) -> None:
    drv = write_drv(tmp_path, "a", sources=[Path("/s")], env=r"line\nnext \"q\"")
    read = Derivation.read(drv)
    assert read.sources == (Path("/s"),)
    assert read.env["env"] == 'line\nnext "q"'


def test_never_built(tmp_path: Path) -> None:
    drv = write_drv(tmp_path, "a")
    assert why_built(None, drv) == FIRST
    assert why_built(tmp_path / "collected.drv", drv) == FIRST
    assert why_built(drv, drv) == "its output was not in the store"


def test_a_changed_file_is_named_through_two_levels(tmp_path: Path) -> None:
    old_src = make_tree(tmp_path, "context", {"app.py": "1", "lib/x.py": "same"})
    new_src = make_tree(tmp_path, "context", {"app.py": "2", "lib/x.py": "same", "lib/y.py": ""})
    old = write_drv(tmp_path, "image", inputs=[write_drv(tmp_path, "layer", sources=[old_src])])
    new = write_drv(tmp_path, "image", inputs=[write_drv(tmp_path, "layer", sources=[new_src])])
    assert why_built(old, new) == "app.py, lib/y.py changed"


def test_a_changed_definition_is_said(tmp_path: Path) -> None:
    old = write_drv(tmp_path, "layer", env="a")
    new = write_drv(tmp_path, "layer", env="b")
    assert why_built(old, new) == "layer changed"


def test_the_machine_of_prod_is_not_taken_for_the_build_machine(tmp_path: Path) -> None:
    olds, news = (
        [
            write_drv(tmp_path, f"vcr-snapshot-{name}", inputs=[machine])
            for name in ("app", "riscv64")
            for machine in [write_drv(tmp_path, f"vcr-machine-{name}", env=env)]
        ]
        for env in ("256 MiB", "512 MiB")
    )
    for old, new in zip(olds, news, strict=True):
        assert why_built(old, new) == "the machine at step 0 changed"


def test_a_build_machine_that_changed_is_said_so(tmp_path: Path) -> None:
    name = re.search(r'name = "(vcr-[a-z-]+-)\$', (REPO / "nix/lib/machine.nix").read_text())
    assert name
    old, new = (
        write_drv(
            tmp_path,
            "vcr-layer-run",
            inputs=[write_drv(tmp_path, f"{name[1]}riscv64", env=env)],
        )
        for env in "ab"
    )
    assert why_built(old, new) == "the build machine changed"


def test_of_two_copies_of_one_name_the_one_that_changed_is_named(tmp_path: Path) -> None:
    """Layers and contexts have one name each; what came last was taken for the other."""

    @cache
    def tree(name: str, text: str) -> Path:
        return make_tree(tmp_path, "context", {f"{name}/f": text})

    @cache
    def copy(*trees: Path) -> tuple[Path, str]:
        env = " ".join(map(str, trees))
        out = f"/out-{next(HASHES)}"
        return write_drv(tmp_path, "vcr-layer-copy", sources=trees[::-1], env=env, out=out), out

    def image(first: str, second: str, third: str) -> Path:
        one, at_one = copy(tree("a", first))
        two, at_two = copy(tree("b", second), tree("c", third))
        env = f"{at_one} {at_two}"
        return write_drv(tmp_path, "vcr-image-x", inputs=[two, one], env=env)

    for change, words in {
        ("2", "1", "1"): "a/f changed",
        ("1", "2", "1"): "b/f changed",
        ("1", "1", "2"): "c/f changed",
    }.items():
        assert why_built(image("1", "1", "1"), image(*change)) == words
