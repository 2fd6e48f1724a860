"""The job of a builder: what Nix writes as JSON, read once into a dataclass of the builder.

nix/stages says what a job holds, the dataclass what its builder takes: a key that only one
of them has is an error that names it. tests/integration/test_jobs.py compares all of them.
"""

import json
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vcr.formats.failure import Failure


def read_job[Job](kind: type[Job], specification: str) -> Job:
    """Return the job in the JSON file SPECIFICATION as a KIND; raises Failure for another one."""
    return as_record(kind, json.loads(Path(specification).read_bytes()))


def as_record[Job](kind: type[Job], data: Any) -> Job:
    """Return DATA, parsed JSON, as the dataclass KIND; raises Failure that says what is wrong.

    A field may be a str, bool, int, float, Path, Literal, Any, a dataclass, a tuple or a dict
    of those, or a union: of None, or of dataclasses that differ in a Literal.
    """
    builder = kind.__module__.rpartition(".")[2]
    try:
        record: Job = _record(kind, data, "the job")
    except _WrongError as wrong:
        raise Failure(
            f"the builder {builder} was given another job than it takes",
            why=str(wrong),
            fix=f"use nix/ and vcr/ of one version; in both, see vcr/sandbox/{builder}.py",
        ) from None
    return record


class _WrongError(Exception):
    """What is wrong, and where."""


def _record(kind: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise _WrongError(f"{where} is not an object")
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(data.keys() - known.keys())
    missing = [
        name for name, field in known.items() if name not in data and field.default is MISSING
    ]
    wrong = [f"{where} has no {name}" for name in missing]
    wrong += [f"{where} has {name}, which is unknown" for name in unknown]
    if wrong:
        raise _WrongError("; ".join(wrong))
    types = get_type_hints(kind)
    return kind(**{name: _value(types[name], each, name) for name, each in data.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return VALUE, of the key that WHERE says, as a KIND."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        return _value(_alternative(args, value, where), value, where)
    if is_dataclass(kind):
        return _record(kind, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(args[0], each, where) for each in value)
    if origin is dict and isinstance(value, dict):
        return {key: _value(args[1], each, f"{where}.{key}") for key, each in value.items()}
    if kind is Path and isinstance(value, str):
        return Path(value)
    fits = value in args if origin is Literal else type(value) is kind
    if kind is Any or fits or (kind is float and type(value) is int):
        return value
    raise _WrongError(f"{where} is not a {getattr(kind, '__name__', kind)}")


def _alternative(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """Return the one of KINDS that VALUE is of: None, or what its Literal says."""
    if value is None and NoneType in kinds:
        return NoneType
    others = [kind for kind in kinds if kind is not NoneType]
    if len(others) == 1:
        return others[0]
    for kind in others:
        tags = [(n, t) for n, t in get_type_hints(kind).items() if get_origin(t) is Literal]
        if isinstance(value, dict) and all(value.get(n) in get_args(t) for n, t in tags):
            return kind
    raise _WrongError(f"{where} is of no known kind")
