"""Several vcr at once, on one project."""

import json
from pathlib import Path

import pytest
from program import Vcr

pytestmark = pytest.mark.nix

DEV = ("--profile", "dev")


def test_two_builds_of_one_project(private_vcr: Vcr, project: Path) -> None:
    (project / "www/index.html").write_text("two at once\n")
    children = [private_vcr.spawn("--json", "build", project) for _ in range(2)]
    told = [child.communicate(timeout=300) for child in children]
    assert [child.returncode for child in children] == [0, 0], told
    first, second = ([r["digest"] for r in json.loads(out)["ladder"]] for out, _ in told)
    assert first == second
    roots = Path(private_vcr.env["XDG_STATE_HOME"], "vcr/roots").glob("*/vm-riscv64/*")
    assert {path.name for path in roots if path.is_symlink()} == {
        "image", "rootfs", "squashfs", "kernel",
    }  # fmt: skip


def test_up_twice(vcr: Vcr, project: Path) -> None:
    """One starts the app, the other says that it is being started; both know it when it is up."""
    (project / "Dockerfile").write_text(
        "FROM busybox\nCOPY www /www\nEXPOSE 8080\n"
        'CMD ["busybox", "sh", "-c", '
        '"busybox sleep 4; exec busybox httpd -f -p 8080 -h /www"]\n'
    )
    vcr("build", "image", *DEV, project)
    children = [vcr.spawn("--json", "up", *DEV, project) for _ in range(2)]
    told = [child.communicate(timeout=120) for child in children]
    codes = sorted(child.returncode for child in children)
    assert codes == [0, 5], told
    (refused,) = (err for child, (_, err) in zip(children, told, strict=True) if child.returncode)
    assert "error: another vcr is starting or stopping" in refused
    (machine,) = vcr.json("ps")["machines"]
    assert machine["status"] == "healthy"
    assert vcr.json("up", *DEV, project)["pid"] == machine["pid"]


def test_prune_beside_a_build(private_vcr: Vcr, project: Path) -> None:
    (project / "www/index.html").write_text("built beside prune\n")
    private_vcr("prune", "-q")  # of what others have left
    child = private_vcr.spawn("--json", "build", project)
    while child.poll() is None:
        private_vcr("prune", "--keep", "0", "--local")
    out, err = child.communicate()
    assert child.returncode == 0, err
    assert private_vcr.json("build", project)["ladder"] == json.loads(out)["ladder"]
