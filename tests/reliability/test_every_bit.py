"""Every single bit of documents of enclaves, flipped, in eight parts.

Those that a loader asks for, from outside and for its app, and one that AWS signed. Nothing
is demanded of what they say: the signature and its chain alone have to tell.
"""

import datetime as dt
from pathlib import Path

import pytest
from flips import every_byte, remember_issuers
from nitro_pki import NOW, TestModule

from vcr.attest import domains
from vcr.attest.checks.rejected import RejectedError
from vcr.attest.nitro.document import Expected, verify_document

REPO = Path(__file__).resolve().parents[2]
MODULE = TestModule()
THEN = dt.datetime(2023, 9, 18, 15, 5, tzinfo=dt.UTC)
OURS = Expected(root=MODULE.root)
DOCUMENTS = {
    "from outside": (MODULE.document(user_data=domains.of_parent(b"d" * 32)), OURS, NOW),
    "of the app": (MODULE.document(user_data=domains.of_app(b"d" * 32)), OURS, NOW),
    "of AWS": (
        (REPO / "tests/golden/nitro/document.cbor").read_bytes(),
        Expected(allow_debug=True),
        THEN,
    ),
}


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document(monkeypatch: pytest.MonkeyPatch, name: str, first: int) -> None:
    remember_issuers(monkeypatch)
    data, expected, at = DOCUMENTS[name]
    assert verify_document(data, expected, at)
    for flipped in every_byte(data, first):
        with pytest.raises(RejectedError):
            verify_document(flipped, expected, at)
