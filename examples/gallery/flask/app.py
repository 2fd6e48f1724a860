"""Greets by name."""

from flask import Flask
from markupsafe import escape

app = Flask(__name__)


@app.get("/hello/<name>")
def hello(name: str) -> str:
    """Greet."""
    return f"hello {escape(name)}, from flask\n"
