"""Which addresses are the network: a name is looked up once, and vcr connects to what was checked.

What a project or a server names may lead to the network only: not to this host, its links
or the metadata service of a cloud, by no name, no form of an address, and no answer of a
name server that changes between two questions. Private networks are networks.
"""

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

from vcr.errors import FetchError

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Place = tuple[socket.AddressFamily, Any]  # as socket.connect takes it

# Prefixes of IPv6 that hold an address of IPv4, and where in the 16 bytes it is:
# RFC 4291, 2.5.5 (compatible, mapped); RFC 3056 (6to4); RFC 6052 and 8215 (NAT64); RFC 2765.
EMBEDDED = (
    (ipaddress.IPv6Network("::/96"), 12),
    (ipaddress.IPv6Network("::ffff:0:0/96"), 12),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 12),
    (ipaddress.IPv6Network("2002::/16"), 2),
    (ipaddress.IPv6Network("64:ff9b::/96"), 12),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 12),
)
TEREDO = ipaddress.IPv6Network("2001::/32")  # RFC 4380: the client's address, inverted
THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")  # RFC 1122, 3.2.1.3: this host
SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")  # RFC 3879
# Metadata services that are not link-local: Alibaba, Azure, Oracle, AWS, Google.
METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
MAX_ADDRESSES = 32  # of one name


def resolve(host: str, port: int, *, may_be_own: bool) -> list[Place]:
    """Return where HOST is, looked up once; raises OSError, and FetchError if it is refused.

    One address that is refused is enough: who controls a name decides which one is taken.
    """
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # a label that is too long
        raise OSError(f"{host} is not a host name") from None
    for row in () if may_be_own else rows:
        refuse(host, str(row[4][0]))
    return [(row[0], row[4]) for row in rows[:MAX_ADDRESSES]]


def refuse(host: str, text: str) -> None:
    """Raise FetchError when TEXT, an address of HOST, is not the network."""
    address = ipaddress.ip_address(text.partition("%")[0])
    for each in (address, *_embedded(address)):
        if kind := _kind(each):
            raise FetchError(
                f"{host} is refused",
                why=f"it is {text}, {kind}, and not on the network",
                fix="use VCR_MIRRORS if you mean a service on this host",
            )


def refuse_known(host: str) -> None:
    """Refuse HOST if it is known here to be this host; a proxy asks its own name servers."""
    try:
        resolve(host, 0, may_be_own=False)
    except OSError:
        return


def _kind(address: Address) -> str:
    """Say what ADDRESS is when it is not the network, else ""."""
    kinds = {
        "this host": address.is_loopback or address.is_unspecified or _is_own(address),
        "a link of this host": address.is_link_local,
        "many hosts": address.is_multicast,
        "reserved": address.is_reserved and not _holds_other(address),
        "the metadata service of a cloud": address in METADATA,
    }
    if isinstance(address, ipaddress.IPv4Address):
        kinds["this host"] |= address in THIS_NETWORK
    else:
        kinds["a link of this host"] |= address in SITE_LOCAL
    return next((kind for kind, is_it in kinds.items() if is_it), "")


def _holds_other(address: Address) -> bool:
    """Return whether ADDRESS is one of IPv6 that stands for one of IPv4, which is judged itself."""
    return next(_embedded(address), None) is not None


def _embedded(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the addresses of IPv4 that are in ADDRESS."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    for network, at in EMBEDDED:
        if address in network:
            yield ipaddress.IPv4Address(address.packed[at : at + 4])
    if address in TEREDO:
        yield ipaddress.IPv4Address(address.packed[4:8])
        yield ipaddress.IPv4Address(bytes(byte ^ 0xFF for byte in address.packed[12:]))


def _is_own(address: Address) -> bool:
    """Return whether an interface of this host has ADDRESS.

    The kernel is asked from where it would be reached; nothing is sent.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:
        return False  # not reached at all
