"""Where vcr keeps things nobody else gets to, whatever the umask is and whatever was there."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vcr.errors import HostError
from vcr.private import keep_private

RUN = "from vcr.cli import main; main()"


@pytest.fixture(params=[0o000, 0o002, 0o022, 0o077])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield int(request.param)
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def ran(repo: Path, home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(repo), **more}
    if prefix := os.environ.get("PYTHONPYCACHEPREFIX"):
        env["PYTHONPYCACHEPREFIX"] = prefix
    argv = [sys.executable, "-B", "-c", RUN, *words]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


def test_nobody_else_writes_what_is_kept(repo: Path, tmp_path: Path, mask: int) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    # Without Nix, which is slow to say what of the whole store nothing keeps.
    none = {"XDG_RUNTIME_DIR": str(runtime), "PATH": str(tmp_path)}
    done = ran(repo, home, "--json", "prune", **none)
    assert done.returncode == 5, done.stderr
    kept = [home / ".local/state/vcr", home / ".cache/vcr", runtime / "vcr"]
    assert [mode(path) for path in kept] == [0o700] * 3
    for path in [*home.rglob("*"), *runtime.rglob("*")]:
        assert path.is_symlink() or not mode(path) & 0o022, f"{path} with the umask {mask:o}"


def test_what_others_could_look_into_is_closed(tmp_path: Path, mask: int) -> None:
    place = tmp_path / "state" / "vcr"
    place.mkdir(parents=True)
    (tmp_path / "state").chmod(0o755)
    place.chmod(0o777)
    keep_private(place)
    assert mode(place) == 0o700
    assert mask == os.umask(mask)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "vcr").symlink_to("there")
    with pytest.raises(HostError, match="belong to this user only") as caught:
        keep_private(tmp_path / "vcr")
    assert "link" in caught.value.why
    (tmp_path / "file").touch()
    with pytest.raises(HostError):
        keep_private(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who can give things away")
@pytest.mark.parametrize("name", ["state", "state/vcr"])
def test_what_another_user_has_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "state/vcr").mkdir(parents=True, mode=0o700)
    os.chown(tmp_path / name, 12345, 12345)
    with pytest.raises(HostError, match="belongs to another user"):
        keep_private(tmp_path / "state/vcr")


def test_what_others_could_exchange_is_refused(tmp_path: Path) -> None:
    above = tmp_path / "state"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(HostError, match="every user"):
        keep_private(above / "vcr")
    above.chmod(0o1777)  # as /tmp: nobody renames what is another's
    keep_private(above / "vcr")
    assert mode(above / "vcr") == 0o700


def test_what_cannot_be_made_is_left_to_who_needs_it(repo: Path, tmp_path: Path) -> None:
    keep_private(Path("/proc/none/vcr"))
    done = ran(repo, Path("/proc/none"), "--json", "intro")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_a_runtime_directory_of_another_user_is_said(repo: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, who can give things away")
    (tmp_path / "runtime").mkdir()
    os.chown(tmp_path / "runtime", 12345, 12345)
    done = ran(repo, tmp_path, "ps", XDG_RUNTIME_DIR=str(tmp_path / "runtime"))
    assert done.returncode == 5
    assert "belongs to another user" in done.stderr
    assert "Traceback" not in done.stderr
