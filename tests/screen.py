"""What a terminal shows: a small one of ECMA-48, without reflow, which refuses what it lacks.

It knows what vcr draws with, and so fails for any other sequence: carriage return, line feed,
cursor up, erase to the end of the line and of the screen, colours.
"""

import re
import unicodedata

_PIECE = re.compile(r"\x1b\[(\d*(?:;\d+)*)([A-Za-z])|([\r\n])|([^\x00-\x1f\x7f])")


class Screen:
    """Rows and columns, and what has scrolled off the top."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.lines: list[list[str]] = [[]]  # all that there ever were; the last ROWS are seen
        self.row, self.column = 0, 0
        self.wrapped: list[str] = []  # lines that did not fit

    def feed(self, text: str) -> None:
        """Show TEXT, what a program wrote, after the terminal's driver."""
        at = 0
        while at < len(text):
            piece = _PIECE.match(text, at)
            assert piece, f"an unknown sequence: {text[at : at + 20]!r}"
            at = piece.end()
            if piece[3] == "\r":
                self.column = 0
            elif piece[3]:
                self._down()
            elif piece[4]:
                self._put(piece[4])
            else:
                self._obey(piece[2], piece[1])

    def shown(self) -> list[str]:
        """Return all lines, also those that have scrolled away, without empty ones at the end."""
        lines = ["".join(line).rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append([])

    def _put(self, character: str) -> None:
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        width = 0 if unicodedata.combining(character) else width
        if self.column + width > self.columns:
            self.wrapped.append("".join(self.lines[self.row]))
            self._down()
            self.column = 0
        line = self.lines[self.row]
        line.extend([" "] * (self.column - len(line)))
        if width:
            line[self.column : self.column + width] = [character, *[""] * (width - 1)]
        self.column += width

    def _obey(self, what: str, number: str) -> None:
        match what:
            case "A":
                top = max(len(self.lines) - self.rows, 0)
                assert self.row - int(number or 1) >= top, "the cursor is to leave the screen"
                self.row -= int(number or 1)
            case "K" if not number:
                del self.lines[self.row][self.column :]
            case "J" if not number:
                del self.lines[self.row][self.column :]
                del self.lines[self.row + 1 :]
            case "m":
                pass
            case _:
                raise AssertionError(f"an unknown sequence: {number}{what}")
