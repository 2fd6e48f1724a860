"""The smallest Flask app that can say whether it is well."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    """Greet."""
    return "hello from flask\n"


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the app is well."""
    return {"status": "ok"}
