"""A base is what the packages hold, merged, plus what their scripts would have made."""

import contextlib
import gzip
import io
import lzma
import marshal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vcr.formats.debs import build_base, put_metadata, read_package
from vcr.formats.failure import Failure
from vcr.formats.tar import write
from vcr.formats.tree import Node, Tree, directory

REPO = Path(__file__).resolve().parents[2]


def tar_of(files: dict[str, str]) -> bytes:
    """Make a tar; a value "-> x" is a link, a name with a slash at the end a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo("./" + name.rstrip("/"))
            if text.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, text[3:]
            elif name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            else:
                info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def ar_member(name: str, data: bytes) -> bytes:
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
    return header + data + b"\n" * (len(data) % 2)


def deb(directory: Path, name: str, files: dict[str, str], fields: str = "") -> Path:
    control = tar_of({"control": f"Package: {name}\nVersion: 1\n{fields}"})
    path = directory / f"{name}_1_all.deb"
    path.write_bytes(
        b"!<arch>\n"
        + ar_member("debian-binary", b"2.0\n")
        + ar_member("control.tar.gz", gzip.compress(control))
        + ar_member("data.tar.xz", lzma.compress(tar_of(files)))
    )
    return path


def text(tree: Tree, path: str) -> str:
    node = tree.get(tree.resolve(path))
    assert node is not None, f"{path} is not there"
    return node.content.read().decode()


def base(tmp_path: Path, *debs: Path, arch: str = "riscv64") -> Tree:
    packages = [read_package(deb, tmp_path / "scratch") for deb in debs]
    tree = build_base(packages, arch)
    put_metadata(tree, packages)
    return tree


def test_files_go_through_the_merged_usr_links(tmp_path: Path) -> None:
    one = deb(tmp_path, "one", {"bin/": "", "bin/x": "1", "usr/bin/": "", "usr/bin/y": "2"})
    tree = base(tmp_path, one)
    assert tree.nodes["bin"].target == "usr/bin"
    assert text(tree, "usr/bin/x") == "1"
    assert text(tree, "bin/y") == "2"


def test_only_amd64_has_lib64(tmp_path: Path) -> None:
    one = deb(tmp_path, "one", {"f": ""})
    assert "lib64" in base(tmp_path, one, arch="amd64")
    assert "lib64" not in base(tmp_path / "x", one, arch="arm64")


def test_metadata_is_kept_for_scanners(tmp_path: Path) -> None:
    tree = base(tmp_path, deb(tmp_path, "one", {"f": ""}))
    assert text(tree, "var/lib/dpkg/status.d/one").startswith("Package: one\nVersion: 1\n")


def test_a_file_of_two_packages_is_an_error_unless_equal_or_meant(tmp_path: Path) -> None:
    one = deb(tmp_path, "one", {"f": "1"})
    with pytest.raises(Failure, match="one and two both have /f"):
        base(tmp_path, one, deb(tmp_path, "two", {"f": "2"}))
    assert text(base(tmp_path / "a", one, deb(tmp_path, "two", {"f": "1"})), "f") == "1"
    two = deb(tmp_path, "two", {"f": "2"}, "Replaces: zero, one (<< 2)\n")
    assert text(base(tmp_path / "b", one, two), "f") == "2"
    assert text(base(tmp_path / "c", two, one), "f") == "2", "whatever the order"


def test_a_file_does_not_replace_a_directory(tmp_path: Path) -> None:
    one, two = deb(tmp_path, "one", {"opt/d/f": "1"}), deb(tmp_path, "two", {"opt/d": "2"})
    with pytest.raises(Failure, match="where the directory /opt/d is"):
        base(tmp_path, one, two)


def test_accounts_with_and_without_base_passwd(tmp_path: Path) -> None:
    plain = base(tmp_path, deb(tmp_path, "one", {"f": ""}))
    assert text(plain, "etc/passwd").startswith("root:x:0:0:")
    assert "nobody:x:65534:65534:" in text(plain, "etc/passwd")
    master = {"usr/share/base-passwd/passwd.master": "root:*:0:0:::\n"}
    master["usr/share/base-passwd/group.master"] = "root:*:0:\n"
    tree = base(tmp_path / "x", deb(tmp_path, "base-passwd", master))
    assert text(tree, "etc/passwd") == "root:*:0:0:::\n"


def test_temporary_directories_are_sticky(tmp_path: Path) -> None:
    tree = base(tmp_path, deb(tmp_path, "one", {"f": ""}))
    assert tree.nodes["tmp"].mode == tree.nodes["var/tmp"].mode == 0o1777
    assert tree.nodes["root"].mode == 0o700


def test_certificates_are_bundled_in_order(tmp_path: Path) -> None:
    shipped = {f"usr/share/ca-certificates/mozilla/{n}.crt": f"{n}\n" for n in "BA"}
    tree = base(tmp_path, deb(tmp_path, "ca-certificates", shipped))
    assert text(tree, "etc/ssl/certs/ca-certificates.crt") == "A\nB\n"
    assert text(tree, "usr/lib/ssl/cert.pem") == "A\nB\n"


VERSION = f"python3.{sys.version_info.minor}"
MODULES = {
    f"usr/bin/{VERSION}": "",
    f"usr/lib/{VERSION}/good.py": "A = {'a', 'b'}\ndef f(x=('q', 1)): return x in {'k', 'l'}\n",
    f"usr/lib/{VERSION}/bad.py": "print 'two'\n",
}


def test_python_is_compiled_for_the_same_python_only(tmp_path: Path) -> None:
    tree = base(tmp_path, deb(tmp_path, "python", MODULES))
    tag = sys.implementation.cache_tag
    data = tree.nodes[f"usr/lib/{VERSION}/__pycache__/good.{tag}.pyc"].content.read()
    assert data[4:8] == (1).to_bytes(4, "little"), "PEP 552: by hash, unchecked"
    assert marshal.loads(data[16:]).co_filename == f"/usr/lib/{VERSION}/good.py"  # noqa: S302 -- ours
    assert f"usr/lib/{VERSION}/__pycache__/bad.{tag}.pyc" not in tree
    other = {name.replace(VERSION, "python3.2"): data for name, data in MODULES.items()}
    assert not [p for p in base(tmp_path / "x", deb(tmp_path, "o", other)).nodes if "pycache" in p]


def test_a_base_is_the_same_under_another_hash_seed_and_umask(tmp_path: Path) -> None:
    package = deb(tmp_path, "python", MODULES)
    script = (
        "import sys; from pathlib import Path\n"
        "from vcr.formats.debs import build_base, read_package\n"
        "from vcr.formats.tar import write\n"
        "package = read_package(Path(sys.argv[1]), Path(sys.argv[2]) / 'scratch')\n"
        "tree = build_base([package], 'amd64')\n"
        "write(Path(sys.argv[2]) / 'out.tar', tree.walk(), 7)\n"
    )
    found = set()
    for seed, umask in (("0", 0o022), ("1", 0o077), ("12345", 0)):
        out = tmp_path / seed
        out.mkdir()
        subprocess.run(
            [sys.executable, "-c", script, str(package), str(out)],
            check=True,
            cwd=REPO,
            umask=umask,
            env={"PYTHONHASHSEED": seed, "TZ": f"UTC{seed[:1]}", "PYTHONDONTWRITEBYTECODE": "1"},
        )
        found.add((out / "out.tar").read_bytes())
    assert len(found) == 1


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    changes=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 900),
)
def test_damaged_packages_are_read_or_refused(
    tmp_path: Path, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(deb(tmp_path, "one", {"f": "text"}).read_bytes())[: cut or None]
    for at, value in changes:
        if at < len(data):
            data[at] = value
    path = tmp_path / "damaged.deb"
    path.write_bytes(data)
    with contextlib.suppress(Failure):
        read_package(path, tmp_path / "scratch")


def test_zstd_is_refused_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "z.deb"
    control = gzip.compress(tar_of({"control": "Package: z\n"}))
    path.write_bytes(
        b"!<arch>\n" + ar_member("control.tar.gz", control) + ar_member("data.tar.zst", b"")
    )
    with pytest.raises(Failure, match=r"no data\.tar that vcr can read"):
        read_package(path, tmp_path / "scratch")


def test_devices_of_packages_are_refused(tmp_path: Path) -> None:
    tree = Tree()
    tree.put("dev", directory())
    tree.put("dev/null", Node("char", device=(1, 3)))
    write(tmp_path / "data.tar", tree.walk(), 1)
    path = tmp_path / "d.deb"
    control = gzip.compress(tar_of({"control": "Package: d\n"}))
    data = (tmp_path / "data.tar").read_bytes()
    path.write_bytes(
        b"!<arch>\n" + ar_member("control.tar.gz", control) + ar_member("data.tar", data)
    )
    with pytest.raises(Failure, match="device"):
        base(tmp_path, path)
