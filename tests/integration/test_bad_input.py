"""Bad input gets an error that says what is wrong and how to fix it, and harms nothing."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.nix


def write(project: Path, *lines: str) -> None:
    (project / "Dockerfile").write_text("\n".join(("FROM busybox", *lines)) + "\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("COYP www /www", "Dockerfile:2:1: unknown instruction 'COYP'\n  fix: did you mean COPY?"),
        ("COPY --form=x www /", "Dockerfile:2:6: COPY has no flag --form\n  fix: did you mean"),
        ("COPY ../secret /", "Dockerfile:2:6: ../secret is outside the build context"),
        ("COPY wwww /www", "wwww is not in the build context\n  fix: did you mean www?"),
        ("ENV A=${B", "Dockerfile:2:5: ${B...} has no end"),
        ("RUN --network=host make", "Dockerfile:2:1: --network=host is not supported"),
        ("RUN --mount=type=ssh make", "Dockerfile:2:1: --mount=type=ssh is not supported"),
        ("EXPOSE http", "'http' is not a port"),
        ("ADD https://example.org/a /", "out of date: ADD https://example.org/a is new"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(vcr: Any, project: Path, line: str, words: str) -> None:
    write(project, line)
    code = 4 if "out of date" in words else 2
    assert words in vcr("build", project, code=code).stderr


def test_an_unknown_key_names_the_nearest(vcr: Any, project: Path) -> None:
    (project / "vcr.toml").write_text('[base.busybox]\npackages = ["a1"]\n\n[machin]\ncpus = 2\n')
    done = vcr("build", project, code=2)
    assert "vcr.toml:4: unknown key 'machin'\n  fix: did you mean 'machine'?" in done.stderr


def test_a_link_out_of_the_context_is_refused(vcr: Any, project: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (project / "link").symlink_to(tmp_path / "secret")
    write(project, "COPY link /")
    done = vcr("build", project, code=2)
    assert "follows a link only inside the context" in done.stderr


def test_an_archive_entry_that_escapes_is_refused(vcr: Any, project: Path) -> None:
    with tarfile.open(project / "evil.tar", "w") as archive:
        info = tarfile.TarInfo("../../etc/passwd")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"evil"))
    write(project, "ADD evil.tar /", 'CMD ["busybox", "true"]')
    done = vcr("build", project, code=1)
    assert (
        "Dockerfile:2: the archive entry '../../etc/passwd' leads out of the image" in done.stderr
    )


def test_a_missing_base_is_exit_code_4(vcr: Any, project: Path) -> None:
    (project / "Dockerfile").write_text("FROM nosuch\n")
    assert "[base.nosuch] is new" in vcr("build", project, code=4).stderr


def test_a_missing_lock_is_exit_code_4(vcr: Any, project: Path) -> None:
    (project / "vcr.lock").unlink()
    done = vcr("build", project, code=4)
    assert "there is no vcr.lock" in done.stderr
    assert "run `vcr lock`" in done.stderr


def test_a_stale_lock_names_what_changed(vcr: Any, project: Path) -> None:
    (project / "vcr.toml").write_text('[base.busybox]\npackages = ["busybox"]\n')
    for words in (("build",), ("lock", "--check")):
        done = vcr(*words, project, code=4)
        assert "vcr.lock is out of date: [base.busybox] changed" in done.stderr


def test_a_tampered_pin_is_refused_and_never_used(vcr: Any, project: Path) -> None:
    lock = json.loads((project / "vcr.lock").read_text())
    package = lock["bases"]["busybox"]["archs"]["riscv64"][0]
    package["sha256"] = "0" * 64
    (project / "vcr.lock").write_text(json.dumps(lock))
    done = vcr("build", project, code=7)
    assert f"{package['name']}  sha256:{'0' * 64}" in done.stderr
    assert package["url"] in done.stderr


def test_a_file_brought_by_hand_is_verified(vcr: Any, project: Path, tmp_path: Path) -> None:
    lock = json.loads((project / "vcr.lock").read_text())
    package = lock["bases"]["busybox"]["archs"]["riscv64"][0]
    package.update(sha256="1" * 64, url="https://packages.example/pool/x.deb")
    (project / "vcr.lock").write_text(json.dumps(lock))
    brought = tmp_path / "brought"
    brought.mkdir()
    (brought / package["name"]).write_bytes(b"something else")
    vcr.env["VCR_FROM"] = str(brought)
    done = vcr("-v", "build", project, code=7)
    assert f"refused: {brought / package['name']} is not {package['name']}" in done.stderr


def test_an_unknown_user_is_named_with_its_line(vcr: Any, project: Path) -> None:
    write(project, "COPY --chown=alice www /www", 'CMD ["busybox", "true"]')
    done = vcr("build", project, code=1)
    assert "Dockerfile:2: there is no user 'alice' in the image" in done.stderr


def test_nothing_to_run_is_said(vcr: Any, project: Path) -> None:
    write(project)
    done = vcr("build", project, code=1)
    assert "the image does not say what to run" in done.stderr
    assert "fix: add a CMD to the Dockerfile" in done.stderr


def test_a_killed_build_is_simply_run_again(vcr: Any, project: Path) -> None:
    (project / "www" / "index.html").write_text(f"new at {time.time_ns()}")
    child = vcr.spawn("build", project)
    time.sleep(1.5)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    vcr("build", project)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system")
def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    vcr: Any, project: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (project / "www" / "new").write_text("new")
    script = (
        "mount -t tmpfs -o size=8k tmpfs $0 && mkdir -p $0/vcr/plans && "
        "{ cat /dev/zero > $0/fill 2> /dev/null || :; } && "
        '"$@"; code=$?; ls -A $0/vcr/plans; exit $code'
    )
    command = [sys.executable, "-c", "from vcr.cli import main; main()", "build", str(project)]
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare")
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", script, str(cache), *command],
        env={**vcr.env, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5, done.stderr
    assert "No space left on device" in done.stderr
    assert done.stdout == ""
