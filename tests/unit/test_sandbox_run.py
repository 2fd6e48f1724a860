"""Layers for overlayfs, what is taken out of a RUN's layer, and what its end means."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from vcr.formats.failure import Failure
from vcr.formats.kernel_modules import SIGNED, unsigned
from vcr.formats.tar import write
from vcr.formats.tree import Node, Tree, directory, text_file
from vcr.model.config import Config
from vcr.sandbox import build_machine
from vcr.sandbox import run as sandbox_run
from vcr.sandbox.lower import OVERLAY_OPAQUE, overlay_nodes
from vcr.sandbox.normalize import RULES, normalize
from vcr.sandbox.run import check, title

WELL = build_machine.Result(exit=0, signal=0, error="", oom=False, full=False)


def test_a_layer_gets_the_directories_above_what_it_changes(tmp_path: Path) -> None:
    tree = Tree()
    tree.put("tmp", directory(0o1777))
    tree.put("lib", Node("link", 0o777, target="usr/lib"))
    tree.put("usr/lib/old", directory(0o700, 3, 4))
    layer = [
        ("lib/new", text_file("x")),
        ("tmp/.wh.gone", text_file("")),
        ("usr/lib/old/.wh..wh..opq", text_file("")),
    ]
    write(tmp_path / "layer.tar", layer, 1)
    found = dict(overlay_nodes(tree, tmp_path / "layer.tar"))
    assert list(found) == ["", "tmp", "tmp/gone", "usr", "usr/lib", "usr/lib/new", "usr/lib/old"]
    assert found["tmp"].mode == 0o1777
    assert (found["tmp/gone"].kind, found["tmp/gone"].device) == ("char", (0, 0))
    old = found["usr/lib/old"]
    assert (old.mode, old.uid, old.xattrs) == (0o700, 3, {OVERLAY_OPAQUE: "y"})


def test_rules_take_out_what_they_say() -> None:
    paths = [
        "var/cache/ldconfig/aux-cache", "var/cache/apt/pkgcache.bin", "var/lib/apt/lists/x",
        "var/log/dpkg.log", "etc/machine-id", "etc/passwd-", "etc/passwd", "var/log/app.log",
        "var/cache/apt/archives/a.deb",
    ]  # fmt: skip
    nodes = {path: text_file("x") for path in paths}
    done = normalize(nodes, list(RULES))
    assert set(nodes) == {"etc/machine-id", "etc/passwd", "var/log/app.log"}
    assert nodes["etc/machine-id"].content.size == 0
    assert done["etc/machine-id"] == "emptied: it is random"
    assert done["etc/passwd-"] == "removed: it is the state before"
    assert normalize({"etc/machine-id": text_file("")}, ["machine-id"]) == {}


def test_every_rule_can_be_switched() -> None:
    known = Config().normalize.model_dump(by_alias=True)
    assert set(known) == set(RULES)
    off = Config.model_validate({"normalize": {"machine-id": False, "apt-lists": True}})
    assert set(off.normalize.rules) == set(RULES) - {"machine-id"}


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"exit": 7}, "RUN make exited with 7"),
        ({"signal": 9}, "was ended by SIGKILL"),
        ({"exit": 1, "oom": True}, "out of memory"),
        ({"exit": 1, "full": True}, "is full"),
        ({"error": "no such program"}, "no such program"),
        ({"refused": ("GET http://x/",)}, "GET http://x/"),
    ],
)
def test_how_a_step_ended_is_told(result: dict[str, Any], words: str) -> None:
    name = title(["/bin/sh", "-c", "make"])
    check(WELL, name)
    with pytest.raises(Failure) as failure:
        check(replace(WELL, **result), name)
    report = failure.value.report
    assert words in report["what"] + report["why"]
    assert report["code"] == ("lock" if "refused" in result else "")


def test_titles_are_short() -> None:
    assert title(["/bin/sh", "-c", "\n  make\n  more"]) == "RUN make…"
    assert title(["/x", "y"]) == "RUN /x y"
    assert len(title(["sh", "-c", "x" * 99])) < 70


def test_a_module_loses_its_signature() -> None:
    info = bytes(8) + (5).to_bytes(4, "big")
    assert unsigned(b"module" + b"12345" + info + SIGNED) == b"module"
    assert unsigned(b"module") == b"module"


def test_a_machine_counts_instructions_and_reaches_nothing(tmp_path: Path) -> None:
    machine = build_machine.Machine(
        "riscv64", "qemu", "data", "fw", "kernel", "initrd", debian=False, memory_mib=512
    )
    argv = build_machine.command_line(
        machine, tmp_path / "initrd", tmp_path, clock=build_machine.COUNTED
    )
    assert argv[argv.index("-icount") + 1] == "shift=0,sleep=off"
    assert not {"-netdev", "-nic", "-drive", "-fsdev"} & set(argv)
    assert not any(word.startswith("socket,") for word in argv)


def test_only_debians_kernel_is_told_what_to_leave_out() -> None:
    assert build_machine.kernel_line("quiet", debian=False) == "quiet"
    assert "initcall_blacklist=jent_mod_init," in build_machine.kernel_line("quiet", debian=True)


def test_amd64_has_one_board(tmp_path: Path) -> None:
    machine = build_machine.Machine("amd64", "", "", "", "", "", debian=False, memory_mib=512)
    argv = build_machine.command_line(
        machine, tmp_path / "initrd", tmp_path, clock=build_machine.COUNTED
    )
    assert argv[argv.index("-M") + 1] == "microvm,acpi=off,rtc=on"
    # Measuring that timer takes longer than all else in such a machine.
    assert "nolapic_timer" in argv[argv.index("-append") + 1].split()


def test_what_a_step_may_write_fits_into_memory(tmp_path: Path) -> None:
    machine = build_machine.Machine("riscv64", "", "", "", "", "", debian=False, memory_mib=512)
    (tmp_path / "x").write_bytes(bytes(1 << 20))
    size = build_machine.disk_size(machine, {"x": tmp_path / "x"})
    assert size == ((512 - 160 - 1) << 20) * 4 // 5
    small = build_machine.Machine("", "", "", "", "", "", debian=False, memory_mib=64)
    assert build_machine.disk_size(small, {}) == build_machine.MIN_DISK


def test_a_kvm_that_hangs_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Some stop in the middle of the kernel, and leave QEMU waiting for somebody to look."""
    result = json.dumps(asdict(WELL))
    qemu = tmp_path / "qemu"
    qemu.write_text(
        f"""#!/bin/sh
case "$*" in *"-accel kvm"*) exec sleep 600;; esac
touch {tmp_path}/vcr.output
printf '%s' '{result}' > {tmp_path}/vcr.result
"""
    )
    qemu.chmod(0o755)
    machine = build_machine.Machine(
        "amd64", str(qemu), "", "", "", "", debian=False, memory_mib=512
    )
    monkeypatch.setattr(build_machine, "KVM_SECONDS", 0.2)
    memory = tmp_path / "memory"
    memory.write_bytes(b"of another machine")
    booted = sandbox_run.boot(machine, tmp_path / "initrd", tmp_path, memory, kvm=True)
    assert (booted, memory.read_bytes()) == (WELL, b"")
    assert "without KVM" in capfd.readouterr().err


def machine_that(script: str, files: Path) -> list[str]:
    return ["sh", "-c", script, str(files)]


def test_a_machine_that_ends_early_is_told(tmp_path: Path) -> None:
    shown: list[bytes] = []
    script = 'printf hi > "$0/vcr.output"; echo "vcr: FATAL no root" > "$0/console"'
    with pytest.raises(Failure, match="ended before") as failure:
        build_machine.run(machine_that(script, tmp_path), tmp_path, shown.append)
    assert (b"".join(shown), failure.value.report["why"]) == (b"hi", "vcr: FATAL no root")
    with pytest.raises(Failure) as failure:
        build_machine.run(machine_that("kill -9 $$", tmp_path), tmp_path, shown.append)
    assert failure.value.report["why"] == "QEMU was ended by SIGKILL"
    (tmp_path / "vcr.result").write_text(json.dumps(asdict(WELL)))
    assert build_machine.run(machine_that("true", tmp_path), tmp_path, shown.append) == WELL


def test_too_much_output_ends_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_machine, "MAX_OUTPUT", 1000)
    with pytest.raises(Failure, match="printed more than"):
        build_machine.run(
            machine_that('echo $$ > "$0/pid"; exec yes > "$0/vcr.output"', tmp_path),
            tmp_path,
            lambda _: None,
        )
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
