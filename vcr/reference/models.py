"""Pages about vcr.toml, vcr.lock and what `--json` prints: read off their pydantic models."""

import inspect
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAliasType, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from vcr.model.answers import ANSWERS
from vcr.model.arch import Arch
from vcr.model.config import Config
from vcr.model.lockfile import Lock
from vcr.model.project import NAMED
from vcr.reference.markdown import code, page, table

PLAIN = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    Any: "anything",
    Arch: "architecture",
}
NOTHING = (None, "", (), PydanticUndefined)  # defaults that say nothing


def configuration_page() -> str:
    """Return the page of vcr.toml."""
    return page(
        "vcr.toml",
        [
            "Every key is optional, and so is the file. For an unknown key, the error names the",
            "nearest one. `vcr inspect --config` shows the values in effect, and their",
            "sources.",
        ],
        *(_section(name, field) for name, field in Config.model_fields.items()),
    )


def lock_page() -> str:
    """Return the page of vcr.lock."""
    models = list(dict.fromkeys(_models(Lock)))
    return page(
        "vcr.lock",
        [
            "JSON, sorted, written only by `vcr lock`; [the lock](../lock.md) says how. A",
            "field with its default value may be left out.",
        ],
        *(_model(model, "##") for model in models),
    )


def answers_page() -> str:
    """Return the page of what `--json` prints."""
    parts: list[list[str]] = []
    told: set[type[BaseModel]] = set()
    for kind, (verb, model) in ANSWERS.items():
        parts.append([f"## {kind}", "", f"Of `vcr {verb}`. {_doc(model)}", "", *_fields(model)])
        below = [each for each in dict.fromkeys(_models(model)) if each not in {model, *told}]
        parts += [list(_model(each, "###")) for each in below]
        told.update(below)
    return page(
        "What --json prints",
        [
            "One object on stdout, with `schema` (1), `kind`, and the fields of its kind. Errors",
            "are text on stderr, and an [exit code](exit-codes.md). With `--progress json` there",
            'are lines of JSON on stderr: `{"event": "start", "step": NAME}`, then `"output"` with',
            'a `line`, and at the end `"done"` with `outcome` and `seconds`, `"failed"` with',
            '`lines`, the last, or `"stopped"`, because something else failed or by an interrupt.',
            "Events of a part of a step, such as an instruction, also have `part`, its name:",
            "`[2/5] RUN make`. The `outcome` is `cached`, or why it ran. With `--debug` there are",
            'also `"command-started"`, `"command-running"` and `"command-done"`, with `argv`.',
            'While something large is hashed, `"hashing"` says `what`, and how many bytes of it',
            "are `done`, of the `whole`.",
            'What vcr says beside is a `"note"` or a `"warning"` with a `text`, with `-v` also a',
            '`"detail"`. An error is an `"error"` there, with `what`, `why`, `fix`, `details`, and',
            "`lines`, the last output of what failed.",
        ],
        *parts,
    )


def _section(name: str, field: FieldInfo) -> Iterator[str]:
    model: Any = NAMED.get(name, field.annotation)
    if not _is_model(model):
        yield from (f"## [{name}]", "", field.description or "")
        return
    below = {k: f.annotation for k, f in model.model_fields.items() if _is_model(f.annotation)}
    if len(below) < len(model.model_fields):
        yield from _model(model, "##", f"[{name}.NAME]" if name in NAMED else f"[{name}]")
        yield ""
    for key, each in below.items():
        yield from (*_model(each, "##", f"[{name}.{key}]"), "")


def _model(model: type[BaseModel], level: str, title: str = "") -> Iterator[str]:
    yield f"{level} {title or model.__name__}"
    yield ""
    yield _doc(model)
    rows = list(_fields(model))
    if rows:
        yield ""
        yield from rows


def _fields(model: type[BaseModel]) -> Iterator[str]:
    rows = [
        (
            code(field.alias or name),
            _type(field.annotation) + _limits(field),
            code(_default(field)),
            field.description or "",
        )
        for name, field in model.model_fields.items()
        if not isinstance(field.default, BaseModel)  # a section of its own
    ]
    return table(("key", "type", "default", "means"), rows)


def _doc(model: type[BaseModel]) -> str:
    return " ".join(inspect.cleandoc(model.__doc__ or "").splitlines())


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that KIND is made of, itself first."""
    if isinstance(kind, TypeAliasType):
        kind = kind.__value__
    if _is_model(kind):
        yield kind
        for field in kind.model_fields.values():
            yield from _models(field.annotation)
    for each in get_args(kind):
        yield from _models(each)


def _type(kind: Any) -> str:
    """Say in a few words what a value of type KIND is."""
    if isinstance(kind, TypeAliasType):
        told = next(m for m in get_args(kind.__value__) if isinstance(m, FieldInfo))
        return told.description or kind.__name__
    if kind in PLAIN:
        return PLAIN[kind]
    if _is_model(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return _compound(get_origin(kind), get_args(kind))


def _compound(origin: Any, of: tuple[Any, ...]) -> str:
    if origin is Literal:
        return " or ".join(code(_plain(each)) for each in of)
    if origin in {Union, types.UnionType}:
        return " or ".join(_type(each) for each in of if each is not type(None))
    if origin in {tuple, list}:
        return f"list of: {_type(of[0])}"
    if origin is dict:
        return f"table: {_type(of[0])} → {_type(of[1])}"
    if origin is Annotated:
        return _type(of[0])
    raise TypeError(f"the reference does not know the type {origin} of {of}")


def _limits(field: FieldInfo) -> str:
    low = next((each.ge for each in field.metadata if isinstance(each, Ge)), None)
    high = next((each.le for each in field.metadata if isinstance(each, Le)), None)
    if high is not None:
        return f", {low} to {high}"
    return f", at least {low}" if low else ""


def _default(field: FieldInfo) -> str:
    value = field.default
    if any(value is each or value == each for each in NOTHING) and value is not False:
        return ""
    name = getattr(field.annotation, "__name__", "")
    if name == "Memory":
        return f'"{value} MiB"'
    return f'"{value:g}s"' if name == "Duration" else _plain(value)


def _plain(value: Any) -> str:
    """Return VALUE as TOML and JSON have it, for what has one form in both."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case _:
            return str(value)
