"""Programs of this host that run containers: docker if it works, podman as it is pinned.

podman keeps all it has in a directory of the test's own, with files as copies (vfs). It runs in
a mount namespace where /sys/fs/cgroup is cgroup2, because crun refuses what has both kinds, and
makes no cgroups. Its network is a bridge of its own name, which podman removes with the last
container; its table of rules is the host's, so that one test at a time has it.
containers.conf(5), containers-storage.conf(5), containers-policy.json(5), podman-network(1).
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import Vcr
from services import toolset

CONF = """\
[containers]
cgroups = "disabled"
cgroupns = "host"
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "file"
conmon_path = ["{tools}/usr/bin/conmon"]
helper_binaries_dir = ["{tools}/usr/lib/podman", "{tools}/usr/bin"]
[engine.runtimes]
crun = ["{tools}/usr/bin/crun"]
[network]
firewall_driver = "nftables"
network_config_dir = "{home}/networks"
"""
STORAGE = """\
[storage]
driver = "vfs"
graphroot = "{home}/storage"
runroot = "{home}/run"
"""
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
# Not podman0 and its subnet: the host may have a podman.
NETWORK = {
    "name": "podman",
    "id": "2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9",
    "driver": "bridge",
    "network_interface": "vcr-test0",
    "subnets": [{"subnet": "10.243.91.0/24", "gateway": "10.243.91.1"}],
    "ipv6_enabled": False,
    "internal": False,
    "dns_enabled": False,
    "ipam_options": {"driver": "host-local"},
}
# What vcr passes on of the environment has none of these variables.
SCRIPT = """\
#!/bin/sh
export HOME={home} CONTAINERS_CONF={home}/containers.conf PODMAN_IGNORE_CGROUPSV1_WARNING=1
export CONTAINERS_STORAGE_CONF={home}/storage.conf PATH=$PATH:{tools}/usr/sbin
exec nsenter -t {pid} -m {tools}/usr/bin/podman "$@"
"""
HOLDER = "mount -t cgroup2 none /sys/fs/cgroup && echo here && exec sleep 3600"
TABLE = ("table", "inet", "netavark")


@pytest.fixture(params=["docker", "podman"])
def runtime(request: pytest.FixtureRequest, vcr: Vcr, tmp_path: Path) -> Iterator[Path]:
    """A program that vcr finds; skips the test where it does not work."""
    if request.param == "podman":
        with _alone(), _podman(tmp_path / "podman") as script:
            vcr.env["PATH"] = f"{script.parent}:{vcr.env['PATH']}"
            yield script
        return
    found = shutil.which(request.param)
    if found is None or subprocess.run([found, "info"], check=False).returncode:
        pytest.skip(f"needs a {request.param} that works")
    yield Path(found)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other worker has podman."""
    with (Path(tempfile.gettempdir()) / "vcr-test-podman").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _podman(home: Path) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("needs root")
    tools = toolset("podman")
    nft = tools / "usr/sbin/nft"
    listed = subprocess.run([nft, "list", *TABLE], capture_output=True, check=False)
    argv = ["unshare", "-m", "sh", "-c", HOLDER]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            if holder.stdout.readline() != "here\n":
                pytest.skip("needs the right to mount, and cgroup2")
            names = {"home": home, "tools": tools, "pid": holder.pid}
            policy = home / ".config/containers/policy.json"
            policy.parent.mkdir(parents=True)
            policy.write_text(POLICY)
            (home / "containers.conf").write_text(CONF.format(**names))
            (home / "storage.conf").write_text(STORAGE.format(**names))
            (home / "networks").mkdir()
            (home / "networks/podman.json").write_text(json.dumps(NETWORK))
            script = home / "bin/podman"
            script.parent.mkdir()
            script.write_text(SCRIPT.format(**names))
            script.chmod(0o755)
            yield script
            subprocess.run([script, "rm", "-f", "-a", "-t", "0"], check=False)
        finally:
            holder.kill()
            if listed.returncode:  # it was not there before
                subprocess.run([nft, "delete", *TABLE], capture_output=True, check=False)
