"""What a layer of an image is, in a few words, for tables and pictures."""

from typing import Any

from vcr.ui import human_size

WORDS_LENGTH = 60  # characters of a command that are shown


def layer_words(layer: dict[str, Any]) -> tuple[str, str]:
    """Say in a few words what a layer does, and which line asked for it."""
    match layer["op"]:
        case "debs":
            size = human_size(sum(deb["size"] for deb in layer["debs"]))
            count = len(layer["debs"])
            return f"{count} Debian package{'s' * (count != 1)}, {size}", ""
        case "oci":
            return f"OCI image {layer['manifest'][:19]}", ""
        case "copy":
            sources = ", ".join(_source_words(source) for source in layer["sources"])
            return f"copy {sources} to {layer['dest']}", layer["origin"]
        case "workdir":
            return f"make {layer['path']}", layer["origin"]
        case "run" if not layer["origin"]:
            return "configure its packages", ""
        case _:
            return f"run {_first_line(layer['argv'])}", layer["origin"]


def _first_line(argv: tuple[str, ...]) -> str:
    """Return the beginning of a command, as one reads it in the Dockerfile."""
    words = argv[2:] if argv[:2] == ("/bin/sh", "-c") else argv
    first, more, _ = " ".join(words).partition("\n")
    return first[:WORDS_LENGTH] + ("…" if more or len(first) > WORDS_LENGTH else "")


def _source_words(source: dict[str, Any]) -> str:
    match source["kind"]:
        case "context":
            return str(source["path"])
        case "stage":
            return f"{source['pattern']} of another stage"
        case "inline":
            return "a here-document"
        case _:
            return str(source["file"]["url"])
