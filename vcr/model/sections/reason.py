"""Words for what pydantic refuses in a file that people write: vcr.toml, a policy.

Its own messages name types of Python. The kinds of errors and their values:
https://docs.pydantic.dev/2.10/errors/validation_errors/
"""

from pydantic_core import ErrorDetails

# By the kind of error: what the value has to be.
_WORDS = {
    "bool_type": "true or false",
    "dict_type": "a table",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "list_type": "a list in brackets",
    "literal_error": "{expected}",
    "model_type": "a table",
    "string_too_long": "at most {max_length} characters long",
    "string_type": "a text in quotes",
    "tuple_type": "a list in brackets",
}


def key_of(error: ErrorDetails) -> list[str]:
    """Return the parts of the key that ERROR is about."""
    return [str(part) for part in error["loc"] if part != "[key]"]  # the name itself is wrong


def reason_of(error: ErrorDetails) -> str:
    """Return why ERROR refuses a value."""
    words = _WORDS.get(error["type"])
    if words is None:
        return error["msg"].removeprefix("Value error, ")
    return f"it has to be {words.format(**error.get('ctx', {}))}"
