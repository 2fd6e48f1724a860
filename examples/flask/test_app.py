"""Run with `python3 -m unittest`, where Flask is installed."""

import unittest

from app import app


class Pages(unittest.TestCase):
    """What the app answers."""

    def test_pages(self) -> None:
        """The page and the health check answer."""
        client = app.test_client()
        self.assertIn("hello from flask", client.get("/").get_data(as_text=True))
        self.assertEqual(client.get("/health").status_code, 200)
        self.assertEqual(client.get("/nothing").status_code, 404)
