"""Ports that an image names, by their protocols: those of TCP and UDP are forwarded."""

from collections.abc import Iterable


def split_exposed(
    exposed: Iterable[str | int],
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """Return EXPOSED of an image's configuration as ports of TCP, of UDP, sorted, and all others.

    Without a protocol it is TCP: image-spec, config.md, ExposedPorts.
    """
    of: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    others = []
    for text in map(str, exposed):
        number, _, protocol = text.partition("/")
        if (name := protocol.lower() or "tcp") in of:
            of[name].add(int(number))
        else:
            others.append(text)
    return tuple(sorted(of["tcp"])), tuple(sorted(of["udp"])), tuple(others)
