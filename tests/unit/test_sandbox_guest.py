"""What goes into the machine: initramfs, modules, linuxkit's configuration, the root."""

import json
import lzma
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from vcr.engines.container.services import heeds
from vcr.formats.cpio import write_cpio
from vcr.formats.failure import Failure
from vcr.formats.kernel_modules import load_modules
from vcr.formats.tree import Content, Node, Tree, directory, text_file
from vcr.formats.users import Account
from vcr.sandbox import kernel, rootfs
from vcr.sandbox.linuxkit import ROOT_CAPABILITIES, command_of, mounts, service, stop_signal

# --- cpio


def read_cpio(data: bytes) -> list[tuple[str, dict[str, int], bytes]]:
    """Read a newc archive by its specification."""
    names = ("ino", "mode", "uid", "gid", "nlink", "mtime", "size", "dmaj", "dmin", "rmaj", "rmin",
             "namesize", "check")  # fmt: skip
    entries: list[tuple[str, dict[str, int], bytes]] = []
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = {n: int(data[at + 6 + i * 8 : at + 14 + i * 8], 16) for i, n in enumerate(names)}
        name = data[at + 110 : at + 110 + fields["namesize"] - 1].decode()
        at = (at + 110 + fields["namesize"] + 3) & ~3
        body = data[at : at + fields["size"]]
        at = (at + fields["size"] + 3) & ~3
        if name == "TRAILER!!!":
            return entries
        entries.append((name, fields, body))


def test_an_initramfs_is_read_back(tmp_path: Path) -> None:
    tree = Tree()
    tree.put("dev/console", Node("char", 0o600, device=(5, 1)))
    tree.put("bin/sh", Node("link", 0o777, target="busybox"))
    tree.put("init", text_file("#!/bin/sh\n", 0o755))
    write_cpio(tmp_path / "a", tree, 7)
    write_cpio(tmp_path / "b", tree, 7)
    data = (tmp_path / "a").read_bytes()
    assert data == (tmp_path / "b").read_bytes()
    assert len(data) % 512 == 0
    found = {name: (fields, body) for name, fields, body in read_cpio(data)}
    assert list(found) == ["bin", "bin/sh", "dev", "dev/console", "init"]
    assert found["init"][1] == b"#!/bin/sh\n"
    assert found["init"][0]["mode"] == 0o100755
    assert found["bin/sh"][1] == b"busybox"
    assert (found["dev/console"][0]["rmaj"], found["dev/console"][0]["rmin"]) == (5, 1)
    assert {fields["mtime"] for fields, _ in found.values()} == {7}
    assert len({fields["ino"] for fields, _ in found.values()}) == 5


# --- modules


def make_modules(root: Path, **depends: str) -> Path:
    (root / "kernel").mkdir()
    (root / "modules.builtin").write_text("kernel/fs/built-in.ko\n")
    for name, needed in depends.items():
        body = b"\x7fELF\0license=GPL\0depends=" + needed.encode() + b"\0name=x\0"
        (root / "kernel" / f"{name}.ko.xz").write_bytes(lzma.compress(body))
    return root


def test_modules_come_after_what_they_depend_on(tmp_path: Path) -> None:
    root = make_modules(tmp_path, net="failover,core", failover="", core="", unused="")
    found = load_modules(root, ["net", "core", "built_in"])
    assert [name for name, _ in found] == ["failover.ko", "core.ko", "net.ko"]
    assert found[0][1].content.read().startswith(b"\x7fELF")


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="the kernel has no module nothing"):
        load_modules(make_modules(tmp_path), ["nothing"])


def test_the_kernel_builder_needs_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"kernel_deb": str(tmp_path / "x"), "modules": [], "epoch": 0}
    job |= {"linux": "", "busybox_deb": "", "init": "/init"}
    (tmp_path / "x").write_bytes(b"no package")
    (tmp_path / "job").write_text(json.dumps(job))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        kernel.main(str(tmp_path / "job"), str(tmp_path / "out"))


def test_a_kernel_without_modules_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "linux").mkdir()
    for name in ("kernel", "System.map", "symbols"):
        (tmp_path / "linux" / name).write_bytes(name.encode())
    (tmp_path / "step").write_bytes(b"program")
    job = {"linux": str(tmp_path / "linux"), "kernel_deb": "", "busybox_deb": "", "epoch": 0}
    job |= {"init": str(tmp_path / "step"), "modules": ["needed only by Debian's"]}
    (tmp_path / "job").write_text(json.dumps(job))
    kernel.main(str(tmp_path / "job"), str(tmp_path / "out"))
    assert (tmp_path / "out" / "kernel").read_bytes() == b"kernel"
    assert all((tmp_path / "out" / name).exists() for name in ("System.map", "symbols"))
    found = {name: body for name, _, body in read_cpio((tmp_path / "out/initramfs").read_bytes())}
    assert found["init"] == b"program"
    assert found["modules/order"] == b""


# --- linuxkit


CONFIG: dict[str, Any] = {
    "Entrypoint": ["/bin/app"],
    "Cmd": ["--serve"],
    "Env": ["PATH=/bin"],
    "WorkingDir": "/srv",
    "Volumes": {"/data": {}},
}


def test_a_service_is_what_the_image_says() -> None:
    made = service(CONFIG, Account(10, 20, (30,), "/home/app"), Tree(), writable=False)
    assert made["command"] == ["/bin/app", "--serve"]
    assert made["env"] == ["HOSTNAME=vcr", "PATH=/bin", "HOME=/home/app"]
    assert (made["uid"], made["gid"], made["additionalGids"]) == (10, 20, [20, 30])
    assert made["cwd"] == "/srv"
    assert made["readonly"] is True
    assert made["noNewPrivileges"] is True
    assert made["capabilities"] == []
    anybodys = [row["destination"] for row in made["mounts"] if "mode=1777" in row["options"]]
    assert anybodys == ["/dev/shm", "/data", "/run", "/tmp"]


def test_the_file_systems_of_the_runtime_specification_are_mounted() -> None:
    made = service(CONFIG, Account(0, 0), Tree(), writable=False)
    kinds = {row["destination"]: row["type"] for row in made["mounts"]}
    default = {"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs"}
    assert kinds.items() >= default.items()
    assert kinds["/dev/mqueue"] == "mqueue"
    names = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
    assert names <= {target for target, kind in kinds.items() if kind == "bind"}


def test_a_volume_begins_with_what_the_image_has_there() -> None:
    tree = Tree()
    tree.put("data", Node("link", 0o777, target="srv/data"))
    tree.put("srv/data", Node("dir", 0o2750, 999, 998))
    tree.put("tmp", Node("dir", 0o1777))
    rows = {row["destination"]: row["options"] for row in mounts(CONFIG, tree)}
    assert rows["/data"] == ["nosuid", "nodev", "tmpcopyup", "mode=2750", "uid=999", "gid=998"]
    assert rows["/tmp"] == ["nosuid", "nodev", "tmpcopyup", "mode=1777", "uid=0", "gid=0"]
    assert rows["/run"] == ["nosuid", "nodev", "mode=1777"]


def test_a_colon_in_a_volume_begins_no_options() -> None:
    rows = {row["destination"]: row for row in mounts({"Volumes": {"/d:exec": {}}}, Tree())}
    assert rows["/d:exec"]["type"] == "tmpfs"
    assert rows["/d:exec"]["options"] == ["nosuid", "nodev", "mode=1777"]


def test_root_has_few_capabilities_and_home_is_kept() -> None:
    made = service({**CONFIG, "Env": ["HOME=/x"]}, Account(0, 0), Tree(), writable=True)
    assert made["capabilities"] == ROOT_CAPABILITIES
    assert not {"CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_NET_RAW"} & set(ROOT_CAPABILITIES)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert made["env"] == [f"PATH={path}", "HOSTNAME=vcr", "HOME=/x"]
    assert made["readonly"] is False


def test_an_image_without_a_command_cannot_be_run() -> None:
    with pytest.raises(Failure, match="does not say what to run"):
        command_of({"Cmd": []})


# --- rootfs


def finish(tmp_path: Path, *entries: tuple[str, bytes | None]) -> dict[str, tarfile.TarInfo]:
    """Normalise a tar of (name, content or None for a directory); return what is left."""
    tree = tmp_path / "in.tar"
    with tarfile.open(tree, "w") as archive:
        for number, (name, content) in enumerate(entries):
            info = tarfile.TarInfo(name)
            info.mtime, info.uname = number, "me"
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.mode = 0o755 - number if content is None else 0o644
            path = tmp_path / "content"
            path.write_bytes(content or b"")
            info.size = len(content or b"")
            with path.open("rb") as file:
                archive.addfile(info, file if content is not None else None)
    (tmp_path / "job").write_text(json.dumps({"tar": str(tree), "epoch": 5}))
    rootfs.finish(str(tmp_path / "job"), str(tmp_path / "out"))
    with tarfile.open(tmp_path / "out/root.tar") as archive:
        return {member.name: member for member in archive}


def test_the_last_file_and_the_first_directory_of_a_name_win(tmp_path: Path) -> None:
    found = finish(
        tmp_path, ("etc", None), ("etc/b", b"1"), ("etc", None), ("etc/b", b"222"), ("boot/k", b"k")
    )
    assert list(found) == ["etc", "etc/b"]
    assert found["etc/b"].size == 3
    assert found["etc"].mode == 0o755
    assert {m.mtime for m in found.values()} == {5}
    assert {m.uname for m in found.values()} == {""}
    (rung,) = json.loads((tmp_path / "out/rungs.json").read_text())
    assert rung["name"] == "rootfs"


def test_a_name_that_is_a_file_and_a_directory_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        finish(tmp_path, ("x", None), ("x", b"1"))
    report = json.loads(capsys.readouterr().err.removeprefix("vcr-error: "))
    assert report["what"] == "linuxkit wrote /x as a directory and as something else"


def test_what_the_agent_is_told() -> None:
    machine = rootfs.Machine(debug=False, health=None, ports=(80,), writable=False, powers_off=True)
    settings = json.loads(rootfs._settings(machine, {"StopSignal": "SIGINT"}))
    assert settings == {"health": None, "ports": [80], "stop_signal": "SIGINT"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SIGTERM", "SIGTERM"), ("KILL", "KILL"), ("15", "15"),  # as they are
        ("term", "SIGTERM"), ("SIGiot", "SIGABRT"), ("cld", "SIGCHLD"), ("POLL", "SIGIO"),
        ("SIGRTMIN", "34"), ("rtmin+3", "37"), ("RTMAX-14", "50"), ("SIGRTMAX", "64"),
        (None, "SIGTERM"), ("", "SIGTERM"),
        ("SIGFOO", "SIGTERM"), ("0", "SIGTERM"), ("65", "SIGTERM"), ("SIGRTMIN+99", "SIGTERM"),
    ],
)  # fmt: skip
def test_a_stop_signal_is_one_that_crun_takes(text: str | None, told: str, tmp_path: Path) -> None:
    assert stop_signal({"StopSignal": text}) == told
    (tmp_path / "status").write_text(json.dumps({"pid": os.getpid()}))
    assert heeds(tmp_path / "status", told) in {False, True}


def test_a_tree_keeps_its_root() -> None:
    tree = Tree()
    tree.put("a/b", Node("file", content=Content.of_bytes(b"x")))
    assert tree.nodes[""].kind == directory().kind
    assert [path for path, _ in tree.walk()] == ["a", "a/b"]
