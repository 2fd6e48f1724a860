"""Plans bases: Debian packages, configured by a RUN of vcr if requested, and OCI images."""

from collections.abc import Mapping
from typing import Any

from vcr.dockerfile.state import DEFAULT_PATH, DEFAULT_SHELL
from vcr.lock.debian.archive import SNAPSHOTS
from vcr.model.arch import Arch
from vcr.model.lockfile import LockedBase, LockedDebian
from vcr.model.plan import Additions, Debs, Layer, OciBase, Run
from vcr.model.sections.base import Base

# What unpacking by dpkg itself would have done: preinst, then the rest of it. Required packages
# and awk are configured first, as by debootstrap, since others use them unnamed. No service
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
first=$(dpkg-query --show -f '${Priority} ${Provides} ${binary:Package}\\n' |
  sed -nE '/^required | awk[, ]/s/.* //p')
[ -z "$first" ] || dpkg --force-depends --configure $first
dpkg --configure -a
rm /usr/sbin/policy-rc.d
"""


def base_layers(
    base: LockedBase, settings: Base | None, ident: str, arch: Arch, epoch: int, origin: str
) -> dict[str, Layer]:
    """Return the layers that BASE is for ARCH, bottom first; the first one is called IDENT.

    SETTINGS are vcr.toml's. ORIGIN is the line that asks for them, for messages.
    """
    layers = _packages(base, ident, arch, epoch, origin)
    if settings and (settings.files or settings.links or settings.users):
        layers[f"{ident}.additions"] = Additions(
            tuple(layers), dict(settings.files), dict(settings.links), dict(settings.users), origin
        )
    return layers


def _packages(
    base: LockedBase, ident: str, arch: Arch, epoch: int, origin: str
) -> dict[str, Layer]:
    if not isinstance(base, LockedDebian):
        locked = base.archs[arch]
        config = dict(locked.config)
        blobs, indexes = dict(locked.blobs), dict(base.indexes)
        return {ident: OciBase(base.reference, blobs, indexes, locked.manifest, config, arch)}
    debs = tuple(package.fetched() for package in base.archs[arch])
    if not base.configure:
        return {ident: Debs(debs, arch=arch)}
    layers = {ident: Debs(debs, configure=True, apt_sources=_apt_sources(base), arch=arch)}
    return {**layers, f"{ident}.configured": _configuration(ident, arch, epoch, origin)}


def base_config(base: LockedBase, arch: Arch, settings: Base | None) -> dict[str, Any]:
    """Return the config that an image of BASE for ARCH begins with; SETTINGS are vcr.toml's."""
    if not isinstance(base, LockedDebian):
        return dict(base.archs[arch].config)
    return settings.image_config if settings else {}


def missing_workdir(base: LockedBase, config: Mapping[str, Any]) -> str:
    """Return the WorkingDir of CONFIG if BASE does not have it as a directory yet, else ""."""
    path = str(config.get("WorkingDir") or "/")
    return path if path != "/" and isinstance(base, LockedDebian) else ""


def _configuration(lower: str, arch: Arch, epoch: int, origin: str) -> Run:
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
