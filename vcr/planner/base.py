"""Plans a base of Debian packages: unpacked, and configured by a RUN of vcr if requested."""

from vcr.dockerfile.state import DEFAULT_PATH, DEFAULT_SHELL
from vcr.lock.debian.archive import SNAPSHOTS
from vcr.model.arch import Arch
from vcr.model.lockfile import LockedDebian
from vcr.model.plan import Debs, Run

# What unpacking by dpkg itself would have done: preinst, then the rest of it. No service
# is started in a build machine: https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
CONFIGURE = """\
set -e
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C
export DPKG_RUNNING_VERSION=1.22 DPKG_MAINTSCRIPT_NAME=preinst
DPKG_MAINTSCRIPT_ARCH=$(dpkg --print-architecture)
export DPKG_MAINTSCRIPT_ARCH
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
for script in /var/lib/dpkg/info/*.preinst; do
  [ -e "$script" ] || continue
  name=${script##*/}
  name=${name%.preinst}
  DPKG_MAINTSCRIPT_PACKAGE=${name%:*} "$script" install
done
unset DPKG_RUNNING_VERSION DPKG_MAINTSCRIPT_NAME DPKG_MAINTSCRIPT_ARCH
dpkg --configure -a
rm /usr/sbin/policy-rc.d
"""


def debian_layer(base: LockedDebian, arch: Arch) -> Debs:
    """Return the layer of the packages of BASE for ARCH, unpacked."""
    debs = tuple(package.fetched() for package in base.archs[arch])
    return Debs(debs, base.configure, _apt_sources(base) if base.configure else "")


def configuration(lower: str, arch: Arch, epoch: int, origin: str) -> Run:
    """Return the RUN that configures the packages of the layer LOWER."""
    return Run(
        argv=(*DEFAULT_SHELL, CONFIGURE),
        lower=(lower,),
        env=(f"PATH={DEFAULT_PATH}", f"SOURCE_DATE_EPOCH={epoch}"),
        user="",
        workdir="/",
        arch=arch,
        network="none",
        origin=origin,
    )


def _apt_sources(base: LockedDebian) -> str:
    """Return sources.list(5) for the archive as BASE was made from it.

    By http, which is enough: apt verifies what it reads by signature.
    """
    return (
        f"Types: deb\nURIs: {SNAPSHOTS.replace('https:', 'http:')}/{base.snapshot}/\n"
        f"Suites: {base.suite}\nComponents: main\nCheck-Valid-Until: no\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
