"""What a layer of an image is, in a few words, for tables and pictures."""

from vcr.model.plan import Additions, Copy, Layer, Run, Workdir, files_of, words_of
from vcr.model.source import ContextSource, GitSource, InlineSource, Source, StageSource
from vcr.planner.base import CONFIGURE
from vcr.ui import human_size

WORDS_LENGTH = 60  # characters of a command that are shown


def layer_words(layer: Layer) -> tuple[str, str]:
    """Say in a few words what a layer does, and which line asked for it."""
    match layer:
        case Additions():
            return f"add {', '.join((*layer.files, *layer.links, *layer.users))}", layer.origin
        case Copy():
            sources = ", ".join(_source_words(source) for source in layer.sources)
            return f"copy {sources} to {layer.dest}", layer.origin
        case Workdir():
            return f"make {layer.path}", layer.origin
        case Run() if layer.argv[-1] == CONFIGURE:
            return "configure its packages", layer.origin
        case Run():
            return f"run {_first_line(layer.argv)}", layer.origin
    size = sum(file.size for file in files_of(layer))
    return words_of(layer) + (f", {human_size(size)}" if size else ""), ""


def _first_line(argv: tuple[str, ...]) -> str:
    """Return the beginning of a command, as one reads it in the Dockerfile."""
    words = argv[2:] if argv[:2] == ("/bin/sh", "-c") else argv
    first, more, _ = " ".join(words).partition("\n")
    return first[:WORDS_LENGTH] + ("…" if more or len(first) > WORDS_LENGTH else "")


def _source_words(source: Source) -> str:
    match source:
        case ContextSource():
            return source.path
        case StageSource():
            return f"{source.pattern} of another stage"
        case InlineSource():
            return "a here-document"
        case GitSource():
            return f"{source.remote} at {source.commit[:12]}"
    return source.file.url
