"""Numbers of things in words: one helper, so that no message says "1 entries"."""


def counted(number: int, one: str, several: str = "") -> str:
    """Return NUMBER with what there is so many of: ONE, or SEVERAL, which is ONE with an s.

    Each may be a phrase with its verb: counted(2, "entry differs", "entries differ").
    """
    return f"{number} {one if number == 1 else several or f'{one}s'}"
