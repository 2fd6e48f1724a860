"""What `--json` prints: one object of `schema`, `kind`, and the fields of its kind.

Descriptions are for the reference, docs/reference/json.md. The verbs write plain objects;
that these are of the form said here is checked wherever a test reads one.
"""

import re

from vcr.model.answers import building, looking, proving, running, sharing
from vcr.model.answers.base import Answer

ROOMS = (building, running, looking, proving, sharing)


def _kind(form: type[Answer]) -> str:
    """Return the `kind` that says which answer one is: of SshConfig it is `ssh-config`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", form.__name__).lower()


# kind → the verb that prints it and its form
ANSWERS: dict[str, tuple[str, type[Answer]]] = {
    _kind(form): (form.verb, form)
    for room in ROOMS
    for form in vars(room).values()
    if isinstance(form, type) and issubclass(form, Answer) and form.verb
}
