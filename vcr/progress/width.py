"""How wide text is on a terminal, and what of it fits.

Unicode Standard Annex 11: characters that are Wide or Fullwidth take two columns. Marks that
combine with the character before them take none.
"""

import unicodedata

MORE = "…"  # at the end of what was cut


def width_of(text: str) -> int:
    """Return how many columns TEXT takes at most; it has no control characters."""
    return len(text) if text.isascii() else sum(map(_width, text))


def fitted(text: str, columns: int) -> str:
    """Return TEXT, or its beginning and an ellipsis, in at most so many COLUMNS."""
    if width_of(text) <= columns:
        return text
    taken, left = [], columns - len(MORE)
    for character in text:
        left -= _width(character)
        if left < 0:
            break
        taken.append(character)
    return f"{''.join(taken)}{MORE}" if columns > 0 else ""


def _width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
