"""One app sees the same container in dev and in a machine, and it is what Docker gives."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.nix

PROBE = """\
for target in /proc /dev /dev/pts /dev/shm /dev/mqueue /sys /data; do
	busybox awk -v t=$target '$2 == t { print "mount", t, $3 }' /proc/mounts
done
echo shared > /dev/shm/x && echo shm $(busybox cat /dev/shm/x)
busybox stat -c 'owner %n %u:%g %a' /data /data/kept /tmp/kept /run/kept
echo written > /data/new && echo data $(busybox cat /data/kept /data/new)
for name in localhost $(busybox hostname); do
	busybox ping -c 1 $name > /dev/null 2>&1 || busybox grep -qw $name /etc/hosts || echo no $name
done
echo name $(busybox hostname) $(busybox cat /etc/hostname)
busybox awk '/localhost/ { print "hosts", $1, $2 }' /etc/hosts
[ -s /etc/resolv.conf ] && echo resolver
echo opened > /dev/stdout
echo again | busybox tee /dev/stderr > /dev/stdout
busybox stat -L -c 'output %F' /dev/stdout /dev/stderr
echo end
exec busybox httpd -f -p 8080
"""
SEEN = """\
mount /proc proc
mount /dev tmpfs
mount /dev/pts devpts
mount /dev/shm tmpfs
mount /dev/mqueue mqueue
mount /sys sysfs
mount /data tmpfs
shm shared
owner /data 999:999 755
owner /data/kept 999:999 644
owner /tmp/kept 0:0 644
owner /run/kept 999:999 644
data kept written
name vcr vcr
hosts 127.0.0.1 localhost
hosts ::1 localhost
resolver
opened
again
again
output fifo
output fifo
end
"""


@pytest.mark.parametrize("profile", ["dev", pytest.param("vm", marks=pytest.mark.vm, id="vm")])
def test_what_an_app_sees_is_the_same_everywhere(vcr: Any, project: Path, profile: str) -> None:
    data = project / "data"
    data.mkdir()
    (data / "kept").write_text("kept\n")
    (project / "kept").write_text("kept\n")
    (project / "probe").write_text(PROBE)
    (project / "Dockerfile").write_text(
        "FROM busybox\nCOPY --chown=999:999 data /data\nVOLUME /data\nCOPY kept /tmp/\n"
        "COPY --chown=999:999 kept /run/\nCOPY --chmod=755 probe /probe\n"
        'USER 999:999\nEXPOSE 8080\nCMD ["busybox", "sh", "/probe"]\n'
    )
    vcr("up", "--profile", profile, project)
    assert vcr("logs", project).stdout == SEEN
    vcr("down", project)
