"""Ports that an image names, by their protocols: a machine forwards those of TCP."""

from collections.abc import Iterable


def split_exposed(exposed: Iterable[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return EXPOSED of an image's configuration as ports of TCP, sorted, and all others.

    Without a protocol it is TCP: image-spec, config.md, ExposedPorts.
    """
    rows = [(text, *text.partition("/")[::2]) for text in exposed]
    tcp = {int(number) for _, number, protocol in rows if protocol.lower() in {"", "tcp"}}
    others = [text for text, _, protocol in rows if protocol.lower() not in {"", "tcp"}]
    return tuple(sorted(tcp)), tuple(others)
