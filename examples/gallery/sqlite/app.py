"""Notes in SQLite: POST / stores one, GET / lists them."""

import json
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer

notes = sqlite3.connect("/data/notes.db")
notes.execute("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, words TEXT NOT NULL)")


class Api(BaseHTTPRequestHandler):
    """The two methods."""

    def answer(self, status: int, value: object) -> None:
        """Send VALUE as JSON."""
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """List all notes."""
        self.answer(200, [words for (words,) in notes.execute("SELECT words FROM note")])

    def do_POST(self) -> None:
        """Store the body as a note."""
        words = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with notes:
            stored = notes.execute("INSERT INTO note (words) VALUES (?)", (words,))
        self.answer(201, {"id": stored.lastrowid, "words": words})


HTTPServer(("", 8000), Api).serve_forever()
