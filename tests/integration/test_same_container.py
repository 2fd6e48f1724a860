"""One app sees the same container in every profile: what Docker gives, but for what is named.

Docker's values are those of its source, and of runc's:
https://github.com/moby/moby/blob/v28.0.0/oci/defaults.go (mounts, hidden paths)
https://github.com/moby/moby/blob/v28.0.0/oci/caps/defaults.go (capabilities)
https://github.com/moby/moby/blob/v28.0.0/container/container_unix.go (environment, /dev/shm)
https://github.com/moby/moby/blob/v28.0.0/libnetwork/etchosts/etchosts.go (hosts)
https://github.com/moby/moby/blob/v28.0.0/contrib/init/systemd/docker.service (limits)
https://github.com/opencontainers/runc/blob/v1.2.0/libcontainer/specconv/spec_linux.go (devices)
https://github.com/opencontainers/runc/blob/v1.2.0/libcontainer/rootfs_linux.go (links of /dev)
"""

import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from program import EXAMPLE, runner_in

pytestmark = [pytest.mark.nix, pytest.mark.limit(900)]

REPO = Path(__file__).resolve().parents[2]
# What the app prints when it starts.
START = """\
busybox cp /proc/1/environ /proc/1/status /data
echo opened > /dev/stdout
echo again | busybox tee /dev/stderr > /dev/stdout
busybox stat -L -c 'output %F' /dev/stdout /dev/stderr
echo end
exec busybox httpd -f -p 8080 -h /www
"""
STARTED = ["opened", "again", "again", "output fifo", "output fifo", "end"]
# What it says when it is asked, a fact a line: what it is about, a colon, and the rest.
PROBE = """\
#!/bin/busybox sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
busybox awk '$2 !~ "^/(etc|proc|run/vcr|sys/firmware)/" && $2 !~ "^/dev/[^/]*$" ||
		$2 ~ "^/dev/(pts|shm|mqueue)$" {
	if ($2 == "/run/vcr" || $2 == "/sys/firmware") next
	split($4, all, ","); ways = all[1]
	for (i = 2; i in all; i++) if (all[i] ~ "^(nosuid|nodev|noexec)$") ways = ways "," all[i]
	if ($2 == "/") ways = all[1]
	print "mount:" $2, $3, ways }' /proc/mounts
busybox awk '$2 == "/proc/sys" && $4 ~ "^ro" { print "read-only:" $2 }' /proc/mounts
cd /dev
for name in *; do
	if [ -h "$name" ]; then echo "device:$name -> $(busybox readlink "$name")"
	elif [ -c "$name" ]; then busybox stat -c 'device:%n %t,%T %a' "$name"; fi
done
for path in /proc/kcore /proc/keys /proc/timer_list /proc/latency_stats /sys/firmware; do
	[ -c $path ] || [ ! -e $path ] || [ -d $path -a -z "$(busybox ls -A $path)" ] ||
		echo "exposed:$path"
done
busybox tr '\\0' '\\n' < /data/environ | busybox sort | busybox sed 's/^/environment:/'
busybox awk '/open files|core file|processes|stack/ {
	gsub("  +", "|"); split($0, f, "|"); print "limit:" f[1], f[2], f[3] }' /proc/1/limits
busybox awk '/^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|SigBlk|SigIgn|Umask)/ {
	gsub("[ \\t]+", " "); sub(" $", ""); print "process:" $0 }' /data/status
for fd in /proc/1/fd/*; do
	echo "open:${fd##*/} $(busybox readlink $fd | busybox sed 's/:.*//')" | busybox grep -v socket
done
busybox sed 's/^/hosts:/; s/\\t/ /' /etc/hosts
echo "name:$(busybox hostname) $(busybox cat /etc/hostname)"
busybox grep -c '^nameserver [0-9.]*$' /etc/resolv.conf | busybox sed 's/^/nameservers:/'
busybox stat -c 'owner:%n %u:%g %a' / /data /data/kept /run /run/kept /tmp/kept
for place in / /data /run /dev/shm /opt; do
	echo written 2> /dev/null > $place/new && echo "writable:$place"
done
echo "data:"$(busybox cat /data/kept /data/new)
for name in ping_group_range ip_unprivileged_port_start; do
	echo "network:$name" $(busybox cat /proc/sys/net/ipv4/$name)
done
for name in localhost $(busybox hostname); do
	busybox wget -q -O /dev/null http://$name:8080/ && echo reached:itself
done
busybox sh -c 'exit 3'; echo "code:exit $?"
busybox sh -c 'kill -9 $$'; echo "code:killed $?"
busybox sh -c 'kill $$'; echo "code:terminated $?"
/nothing 2> /dev/null; echo "code:missing $?"
/data/kept 2> /dev/null; echo "code:not executable $?"
busybox sleep 0 & wait $!; echo "code:child $?"
echo "first:$(busybox tr '\\0' ' ' < /proc/1/cmdline)"
echo "clock:$(busybox date +%s)"
echo "zone:$(busybox date +%Z)"
echo "random:$(busybox head -c 16 /dev/urandom | busybox hexdump -e '16/1 "%02x"')"
"""

DOCKER = {
    "mount": [
        "/ overlay rw",
        "/data ext4 rw",  # of /var/lib/docker/volumes
        "/dev tmpfs rw,nosuid",
        "/dev/mqueue mqueue rw,nosuid,nodev,noexec",
        "/dev/pts devpts rw,nosuid,noexec",
        "/dev/shm tmpfs rw,nosuid,nodev,noexec",
        "/proc proc rw,nosuid,nodev,noexec",
        "/sys sysfs ro,nosuid,nodev,noexec",
        "/sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec",
    ],
    "device": [
        "core -> /proc/kcore",
        "fd -> /proc/self/fd",
        "full 1,7 666",
        "null 1,3 666",
        "ptmx -> pts/ptmx",
        "random 1,8 666",
        "stderr -> /proc/self/fd/2",
        "stdin -> /proc/self/fd/0",
        "stdout -> /proc/self/fd/1",
        "tty 5,0 666",
        "urandom 1,9 666",
        "zero 1,5 666",
    ],
    "exposed": [],
    "read-only": ["/proc/sys"],
    "environment": [
        "GIVEN=by the image",
        "HOME=/home/app",
        "HOSTNAME=0123456789ab",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ],
    "limit": [
        "Max core file size unlimited unlimited",
        "Max open files 1024 524288",
        "Max processes unlimited unlimited",
        "Max stack size 8388608 unlimited",
    ],
    "process": [
        "CapAmb: 0000000000000000",
        "CapBnd: 00000000a80425fb",
        "CapEff: 0000000000000000",
        "CapInh: 0000000000000000",
        "CapPrm: 0000000000000000",
        "Gid: 999 999 999 999",
        "Groups: 777 999",
        "NoNewPrivs: 0",
        "Seccomp: 2",
        "SigBlk: 0000000000000000",
        "SigIgn: 0000000000000004",  # SIGQUIT, by the shell that asks
        "Uid: 999 999 999 999",
        "Umask: 0022",
    ],
    "open": ["0 /dev/null", "1 pipe", "2 pipe"],
    "hosts": [
        "127.0.0.1 localhost",
        "172.17.0.2 0123456789ab",
        "::1 localhost ip6-localhost ip6-loopback",
        "fe00:: ip6-localnet",
        "ff00:: ip6-mcastprefix",
        "ff02::1 ip6-allnodes",
        "ff02::2 ip6-allrouters",
    ],
    "name": ["0123456789ab 0123456789ab"],
    "nameservers": ["1"],
    "owner": [
        "/ 0:0 755",
        "/data 999:999 755",
        "/data/kept 999:999 644",
        "/run 0:0 755",
        "/run/kept 999:999 644",
        "/tmp/kept 0:0 644",
    ],
    "writable": ["/data", "/dev/shm", "/opt"],
    "data": ["kept written"],
    "network": ["ip_unprivileged_port_start 0", "ping_group_range 0 2147483647"],
    "reached": ["itself", "itself"],
    "code": [
        "child 0", "exit 3", "killed 137", "missing 127", "not executable 126", "terminated 143",
    ],
    "first": ["busybox httpd -f -p 8080 -h /www "],
    "zone": ["UTC"],
}  # fmt: skip


KINDS = {
    "Max core file size": resource.RLIMIT_CORE,
    "Max open files": resource.RLIMIT_NOFILE,
    "Max processes": resource.RLIMIT_NPROC,
    "Max stack size": resource.RLIMIT_STACK,
}


@dataclass(frozen=True)
class Difference:
    """What is not as in Docker, and what docs/guest.md says of it."""

    said: str
    less: dict[str, list[str]] = field(default_factory=dict)
    more: dict[str, list[str]] = field(default_factory=dict)
    profile: str = ""  # the only one that has it


NAME, NAMED = "0123456789ab", "vcr"  # a container of Docker has its ID for a name
DIFFERENCES = [
    Difference("Its name is `vcr`, and leads to 127.0.0.1", {
        "environment": [f"HOSTNAME={NAME}"], "name": [f"{NAME} {NAME}"],
        "hosts": ["127.0.0.1 localhost", f"172.17.0.2 {NAME}"],
    }, {
        "environment": [f"HOSTNAME={NAMED}"], "name": [f"{NAMED} {NAMED}"],
        "hosts": [f"127.0.0.1 localhost {NAMED}"],
    }),
    Difference("`/tmp` and `/run` are a tmpfs", {}, {
        "mount": ["/run tmpfs rw,nosuid,nodev", "/tmp tmpfs rw,nosuid,nodev"],
    }),
    Difference("A VOLUME without a name is a tmpfs", {"mount": ["/data ext4 rw"]},
               {"mount": ["/data tmpfs rw,nosuid,nodev"]}),
    Difference("In `dev`, `/sys/fs/cgroup` is empty",
               {"mount": ["/sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec"]}, profile="dev"),
    Difference("No process can gain rights", {
        "process": ["NoNewPrivs: 0", "CapBnd: 00000000a80425fb"],
    }, {"process": ["NoNewPrivs: 1", "CapBnd: 0000000000000000"]}),
    Difference("System calls are not filtered", {"process": ["Seccomp: 2"]},
               {"process": ["Seccomp: 0"]}),
]  # fmt: skip


def facts(text: str) -> dict[str, list[str]]:
    """Return what the probe says, by what it is about, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        about, _, rest = line.partition(":")
        found.setdefault(about, []).append(rest)
    return {about: sorted(rows) for about, rows in found.items()}


@dataclass(frozen=True)
class Seen:
    """An app that is up."""

    profile: str
    said: dict[str, list[str]]
    again: dict[str, list[str]]
    log: list[str]


@pytest.fixture(
    scope="module",
    params=[
        "dev",
        pytest.param("vm", marks=pytest.mark.vm),
        pytest.param("prod", marks=pytest.mark.vm),
        pytest.param("enclave", marks=[pytest.mark.vm, pytest.mark.kernel("enclave")]),
    ],
)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What the app says in one start for all tests of a profile."""
    project = tmp_path_factory.mktemp("same")
    for name in ("vcr.toml", "vcr.lock"):
        (project / name).write_bytes((EXAMPLE / name).read_bytes())
    for directory in ("data", "opt", "home"):
        (project / directory).mkdir()
    for place in ("kept", "data/kept", "opt/kept", "home/kept"):
        (project / place).write_text("kept\n")
    (project / "probe").write_text(PROBE)
    (project / "start").write_text(START)
    (project / "passwd").write_text("root:x:0:0::/root:/bin/sh\napp:x:999:999::/home/app:/bin/sh\n")
    (project / "group").write_text("root:x:0:\napp:x:999:\nmore:x:777:app\n")
    (project / "Dockerfile").write_text(
        "FROM busybox\nCOPY passwd group /etc/\nCOPY --chown=999:999 data /data\nVOLUME /data\n"
        "COPY kept /tmp/\nCOPY --chown=999:999 kept /run/\nCOPY --chown=999:999 opt /opt\n"
        "COPY --chmod=755 probe /www/cgi-bin/probe\nCOPY --chmod=755 start /start\n"
        "COPY kept /www/index.html\n"
        "ENV GIVEN='by the image'\nUSER app\nEXPOSE 8080\n"
        'CMD ["busybox", "sh", "/start"]\n'
    )
    profile = request.param
    words = ("prod", "--enclave") if profile == "enclave" else (profile,)
    with runner_in(tmp_path_factory.mktemp("state")) as vcr:
        machine: Any = vcr.json("up", "--profile", *words, project)
        log = vcr("logs", project).stdout.splitlines()
        said = [probed(machine["forwards"][0]["host"]) for _ in range(2)]
        vcr("down", "-t", "1", project)
    return Seen(profile, said[0], said[1], log)


def probed(port: int) -> dict[str, list[str]]:
    with urlopen(f"http://127.0.0.1:{port}/cgi-bin/probe", timeout=120) as answer:
        return facts(answer.read().decode())


def expected(profile: str) -> dict[str, list[str]]:
    """Return what is to be seen: Docker's, but for the differences."""
    rows = {about: list(some) for about, some in DOCKER.items()}
    for difference in (each for each in DIFFERENCES if each.profile in {"", profile}):
        for about, some in difference.less.items():
            for row in some:
                rows[about].remove(row)
        for about, some in difference.more.items():
            rows[about] += some
    if profile == "dev":
        rows["limit"] = list(map(allowed_here, rows["limit"]))
    return {about: sorted(some) for about, some in rows.items() if some}


def allowed_here(limit: str) -> str:
    """Return LIMIT as a container of this host can have it: nobody gives more than it has."""
    *name, soft, hard = limit.split()
    most = resource.getrlimit(KINDS[" ".join(name)])[1]
    if most == resource.RLIM_INFINITY:
        return limit
    values = [most if word == "unlimited" else min(int(word), most) for word in (soft, hard)]
    return " ".join([*name, *map(str, values)])


@pytest.mark.parametrize("about", DOCKER)
def test_it_is_as_in_docker(seen: Seen, about: str) -> None:
    assert seen.said.get(about, []) == expected(seen.profile).get(about, [])


def test_what_it_prints_is_whole_and_in_order(seen: Seen) -> None:
    assert seen.log == STARTED


def test_the_clock_is_right_and_no_two_random_numbers_are_one(seen: Seen) -> None:
    assert abs(int(seen.said["clock"][0]) - time.time()) < 600
    assert int(seen.again["clock"][0]) >= int(seen.said["clock"][0])
    assert seen.said["random"] != seen.again["random"]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=str)
def test_a_difference_is_in_the_docs(difference: Difference) -> None:
    text = " ".join((REPO / "docs/guest.md").read_text().split())
    assert difference.said in text
