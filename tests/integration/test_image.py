"""Images built in the real sandbox: other tools accept them, and they change when they should."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from again import assert_same_again

from vcr import process
from vcr.build.builder import Builder, Built
from vcr.errors import VcrError
from vcr.lock.oci import ImageStore
from vcr.model.arch import Arch
from vcr.model.places import Places
from vcr.model.plan import OciBase
from vcr.planner.prepare import prepare
from vcr.settings import Settings
from vcr.tools.nix import Nix
from vcr.ui import Ui

pytestmark = pytest.mark.nix
HELLO = Path(__file__).resolve().parents[2] / "examples/hello"


def build(directory: Path, arch: Arch = Arch.RISCV64) -> Built:
    project, plan = prepare(directory, arch=arch, profile="vm")
    return Builder(Settings.load(), Ui(), project).build(plan, ("image",))


def layer_drvs(directory: Path, arch: Arch = Arch.RISCV64) -> dict[str, Path]:
    """Return operation → derivation of the layers the image in DIRECTORY is made of."""
    project, plan = prepare(directory, arch=arch, profile="vm")
    builder, nix = Builder(Settings.load(), Ui(), project), Nix(Settings.load())
    (target,) = nix.evaluate(["image"], builder.write_plan(plan)).targets
    query = ["nix-store", "--query", "--references", str(target.drv)]
    found = process.run(query).text.splitlines()
    prefix = "-vcr-layer-"
    return {p.partition(prefix)[2].removesuffix(".drv"): Path(p) for p in found if prefix in p} | {
        "image": target.drv
    }


@pytest.fixture(scope="session")
def tools() -> Path:
    return Nix(Settings.load()).toolset("oci") / "usr/bin"


@pytest.fixture(params=[arch.value for arch in Arch])
def built(request: pytest.FixtureRequest) -> tuple[Arch, Path]:
    arch = Arch(request.param)
    return arch, build(HELLO, arch).path("image")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(HELLO, tmp_path / "hello")
    return tmp_path / "hello"


@pytest.fixture
def rootfs(tmp_path: Path, tools: Path) -> Iterator[Path]:
    """The amd64 image, unpacked by umoci."""
    bundle = tmp_path / "bundle"
    unpack(tools, build(HELLO, Arch.AMD64).path("image"), bundle)
    yield bundle / "rootfs"
    shutil.rmtree(bundle)


def unpack(tools: Path, image: Path, bundle: Path) -> None:
    reference = f"{image}/layout:latest"
    process.run([tools / "umoci", "unpack", "--rootless", "--image", reference, bundle])


def test_other_tools_accept_the_image(
    built: tuple[Arch, Path], tools: Path, tmp_path: Path
) -> None:
    arch, image = built
    reference = f"oci:{image}/layout:latest"
    told = json.loads(process.run([tools / "skopeo", "inspect", reference]).stdout)
    assert (told["Architecture"], told["Os"]) == (arch.value, "linux")
    (rung,) = json.loads((image / "rungs.json").read_text())
    assert told["Digest"] == rung["digest"]
    unpack(tools, image, tmp_path / "bundle")
    app = tmp_path / "bundle/rootfs/app/app.py"
    assert app.read_bytes() == (HELLO / "app.py").read_bytes()
    copy = ["--insecure-policy", "copy", reference, f"docker-archive:{tmp_path}/x.tar:hello:latest"]
    process.run([tools / "skopeo", *copy])
    assert (tmp_path / "x.tar").stat().st_size > rung["size"]


def test_an_image_takes_no_room_for_its_layers(built: tuple[Arch, Path]) -> None:
    _, image = built
    (rung,) = json.loads((image / "rungs.json").read_text())
    own = sum(path.lstat().st_size for path in image.rglob("*"))
    assert own < 64 << 10 < rung["size"]


def test_layers_and_image_are_the_same_when_built_again(built: tuple[Arch, Path]) -> None:
    arch, _ = built
    drvs = layer_drvs(HELLO, arch)
    assert len(drvs) == 4
    assert_same_again(drvs.values())


@pytest.mark.skipif(platform.machine() != "x86_64", reason="runs a program of the amd64 image")
def test_pythons_bytecode_is_used(rootfs: Path) -> None:
    lib = rootfs / "usr/lib/x86_64-linux-gnu"
    loader: list[str | Path] = [rootfs / "usr/lib64/ld-linux-x86-64.so.2", "--library-path", lib]
    argv: list[str | Path] = [
        *loader,
        rootfs / "usr/bin/python3.13",
        "-I",
        "-B",
        "-v",
        "-c",
        "import json.decoder",
    ]
    found = subprocess.run(
        argv, env={"PYTHONHOME": str(rootfs / "usr")}, capture_output=True, text=True, check=False
    )
    if "PYTHONHOME" in found.stderr or found.returncode:  # -I ignores it: name it on the path
        argv[argv.index("-I")] = "-s"
        found = subprocess.run(
            argv,
            env={"PYTHONHOME": str(rootfs / "usr")},
            capture_output=True,
            text=True,
            check=True,
        )
    used = [line for line in found.stderr.splitlines() if line.startswith("# code object from")]
    compiled = [line for line in used if "__pycache__" in line]
    assert any("json/__pycache__/decoder" in line for line in compiled)
    assert len(compiled) == len(used), "every module came from its .pyc"


def test_only_what_changed_is_built_again(project: Path) -> None:
    before = layer_drvs(project)
    assert {"base", "workdir", "copy", "image"} == set(before)
    (project / "notes.txt").write_text("not copied by the Dockerfile")
    dockerfile = project / "Dockerfile"
    dockerfile.write_text("# a comment\n\n" + dockerfile.read_text())
    assert layer_drvs(project) == before, "neither another file nor a line number matters"
    with (project / "app.py").open("a") as file:
        file.write("# changed\n")
    after = layer_drvs(project)
    assert {name for name in before if after[name] != before[name]} == {"copy", "image"}


def test_the_checkouts_place_and_modes_do_not_matter(project: Path) -> None:
    before = layer_drvs(HELLO)
    (project / "app.py").chmod(0o600)
    assert layer_drvs(project) == before


def test_an_error_of_a_layer_reaches_the_user(project: Path) -> None:
    dockerfile = project / "Dockerfile"
    dockerfile.write_text(
        dockerfile.read_text().replace("COPY app.py", "COPY --chown=ghost app.py")
    )
    with pytest.raises(VcrError) as caught:
        build(project)
    assert caught.value.what == "Dockerfile:3: there is no user 'ghost' in the image"
    assert "/etc/passwd has" in caught.value.why


def test_files_of_another_stage(project: Path, tools: Path, tmp_path: Path) -> None:
    (project / "Dockerfile").write_text(
        "FROM python AS one\n"
        "COPY --chown=7:8 --chmod=640 app.py /data/a.py\n"
        "COPY <<EOF /data/text\nhello\nEOF\n"
        "FROM scratch\nEXPOSE 80\n"
        "COPY --from=one /data/* /\n"
        'CMD ["/x"]\n'
    )
    image = build(project).path("image")
    manifest = json.loads(
        (image / json.loads((image / "rungs.json").read_text())[0]["file"]).read_text()
    )
    assert len(manifest["layers"]) == 1
    unpack(tools, image, tmp_path / "bundle")
    root = tmp_path / "bundle/rootfs"
    assert sorted(path.name for path in root.iterdir()) == ["a.py", "text"]
    assert (root / "text").read_text() == "hello\n"
    assert (root / "a.py").stat().st_mode & 0o777 == 0o640


def vcr(*words: str | Path) -> None:
    code = "from vcr.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *words], check=True, cwd=HELLO.parents[1])


def test_an_image_is_a_base_by_digest(project: Path, tmp_path: Path) -> None:
    shutil.copytree(build(HELLO).path("image") / "layout", tmp_path / "base")
    child = tmp_path / "child"
    child.mkdir()
    (child / "vcr.toml").write_text('[base.app]\noci = "../base"\n')
    (child / "Dockerfile").write_text("FROM app\nCOPY vcr.toml /etc/\nENV A=b\n")
    vcr("--allow-outside", tmp_path / "base", "lock", child)
    image = build(child).path("image")
    rung = json.loads((image / "rungs.json").read_text())[0]
    manifest = json.loads((image / rung["file"]).read_text())
    config = image / "layout/blobs/sha256" / manifest["config"]["digest"].removeprefix("sha256:")
    told = json.loads(config.read_text())["config"]
    assert told["Cmd"] == ["python3", "/app/app.py"]
    assert "A=b" in told["Env"]
    assert len(manifest["layers"]) == 2, "the base is one layer"


def test_a_base_image_comes_back_when_the_store_lost_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(build(HELLO).path("image") / "layout", tmp_path / "base")
    (project / "vcr.toml").write_text(f'[base.python]\noci = "{tmp_path}/base"\n')
    (project / "Dockerfile").write_text("FROM python\n")
    vcr("--allow-outside", tmp_path / "base", "lock", project)
    asked: list[str] = []
    provide = ImageStore.provide

    def seen(self: ImageStore, layer: OciBase, places: Places) -> None:
        asked.append(layer.reference)
        provide(self, layer, places)

    monkeypatch.setattr(ImageStore, "provide", seen)
    build(project)
    assert asked == [f"oci:{tmp_path}/base"]


def test_two_addresses_of_one_file_are_fetched_side_by_side(vcr: Any, project: Path) -> None:
    """They wrote into one another's half-finished file: same name, same content."""
    content = os.urandom(1 << 20)
    together = threading.Barrier(2, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:1000])
            self.wfile.flush()
            together.wait()
            self.wfile.write(content[1000:])

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base, digest = f"http://127.0.0.1:{server.server_port}", hashlib.sha256(content).hexdigest()
    add = f"ADD --checksum=sha256:{digest} {base}"
    (project / "Dockerfile").write_text(
        f"FROM scratch\n{add}/a/data /one\n{add}/b/data /two\nEXPOSE 80\n"
    )
    vcr("lock", project)
    try:
        vcr("build", project, "image")
    finally:
        server.shutdown()
