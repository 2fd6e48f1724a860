"""What an enclave prints on its console, taken apart: its own lines, and those of the app.

guest/loader/console.go puts APP before each line of the app, so that whatever it prints is no
line of anybody else. Nothing is kept here but a piece of a line.
"""

from pathlib import Path
from typing import IO

APP = b"app: "
MAX_PIECE = 64 << 10  # bytes of a line that are carried at a time


def take_apart(printed: IO[bytes], console: Path, log: Path | None) -> None:
    """Append what is PRINTED to CONSOLE, the app's lines to LOG if there is one, to its end.

    Raises OSError.
    """
    with console.open("ab", buffering=0) as own, (log or console).open("ab", buffering=0) as app:
        begins, is_app = True, False
        while piece := printed.readline(MAX_PIECE):
            if begins:
                is_app = log is not None and piece.startswith(APP)
            text = piece.removeprefix(APP) if is_app and begins else piece
            begins = piece.endswith(b"\n")
            # A console ends lines with CR LF, an app with LF.
            (app if is_app else own).write(text.replace(b"\r\n", b"\n") if is_app else text)
