"""examples/tls: what its client takes for the app, and what not. Here without an enclave: the
door is answered as the loader does, by the software NSM; test_enclave_tls.py has all of it."""

import base64
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from middle import in_the_middle

from vcr.attest.domains import of_app, of_parent
from vcr.engines.enclave.nsm import SoftwareNsm
from vcr.formats import pcrs

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
pytestmark = needs_openssl
PCRS = {number: bytes([number + 1]) * 48 for number in (0, 1, 2)}
ROOT = bytes(range(32))


class Enclave:
    """The app, outside of any machine, and a door of which the security module is software."""

    def __init__(self, app: ModuleType, scratch: Path) -> None:
        self.app, self.scratch = app, scratch
        self.nsm = SoftwareNsm(PCRS)
        for request in ({"ExtendPCR": {"index": 16, "data": ROOT}}, {"LockPCR": {"index": 16}}):
            self.nsm.handle(cbor2.dumps(request))
        self.bind: Callable[[bytes], bytes] = of_app  # as the loader does for the door
        self.nonce: bytes | None = None  # None: the one that is asked for
        told = {f"PCR{n}": value.hex() for n, value in {**PCRS, 16: pcrs.of_root(ROOT)}.items()}
        (scratch / "pcrs.json").write_text(json.dumps(told))
        root = x509.load_der_x509_certificate(self.nsm.root)
        (scratch / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))

    def serve(self, listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            with client, client.makefile("rwb") as lines:
                asked = json.loads(lines.readline())
                data, nonce = (base64.b64decode(asked[name]) for name in ("user_data", "nonce"))
                fields = {"user_data": self.bind(data), "nonce": self.nonce or nonce}
                asked = cbor2.dumps({"Attestation": {**fields, "public_key": None}})
                document = cbor2.loads(self.nsm.handle(asked))["Attestation"]["document"]
                answer = {"document": base64.b64encode(document).decode()}
                lines.write(json.dumps(answer).encode() + b"\n")

    def ask(self, repo: Path, port: int, *more: str) -> "subprocess.CompletedProcess[str]":
        """Run the client against PORT."""
        argv = [sys.executable, "-B", str(repo / "examples/tls/client.py")]
        words = [f"https://127.0.0.1:{port}/", "--pcrs", str(self.scratch / "pcrs.json"), *more]
        return subprocess.run([*argv, *words], capture_output=True, text=True, check=False)

    @property
    def test_root(self) -> tuple[str, str]:
        return "--root", str(self.scratch / "root.pem")


@pytest.fixture
def app(repo: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location("tls_app", repo / "examples/tls/app.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def enclave(app: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Enclave]:
    (tmp_path / "awake").touch()
    monkeypatch.setattr(app, "AWAKE", tmp_path / "awake")
    monkeypatch.setattr(app, "DOOR", str(tmp_path / "door"))
    made = Enclave(app, tmp_path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(app.DOOR)
    listener.listen()
    threading.Thread(target=made.serve, args=(listener,), daemon=True).start()
    yield made
    listener.close()


@pytest.fixture
def port(app: ModuleType) -> Iterator[int]:
    server = app.Server(("127.0.0.1", 0), app.Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_the_app_is_believed_where_its_enclave_vouches_for_it(
    repo: Path, enclave: Enclave, port: int
) -> None:
    done = enclave.ask(repo, port, *enclave.test_root)
    assert (done.returncode, done.stdout) == (0, enclave.app.PAGE.decode()), done.stderr


def test_who_relays_the_connection_is_refused(repo: Path, enclave: Enclave, port: int) -> None:
    """T3: nothing bound a connection to the enclave, so who was in the middle was believed."""
    with in_the_middle(port, enclave.scratch) as middle:
        done = enclave.ask(repo, middle, *enclave.test_root)
    assert (done.returncode, done.stdout) == (3, "")
    assert "rejected at the user_data" in done.stderr


def test_a_document_that_the_parent_asked_for_is_refused(
    repo: Path, enclave: Enclave, port: int
) -> None:
    """It may say the right key: the parent can have documents with any bytes of its own."""
    enclave.bind = of_parent
    done = enclave.ask(repo, port, *enclave.test_root)
    assert (done.returncode, "rejected at the user_data" in done.stderr) == (3, True)


def test_an_old_document_is_refused(repo: Path, enclave: Enclave, port: int) -> None:
    enclave.nonce = b"of yesterday"
    done = enclave.ask(repo, port, *enclave.test_root)
    assert (done.returncode, "rejected at the nonce" in done.stderr) == (3, True)


@pytest.mark.parametrize("register", ["PCR0", "PCR1", "PCR2", "PCR16"])
def test_another_machine_is_refused(repo: Path, enclave: Enclave, port: int, register: str) -> None:
    file = enclave.scratch / "pcrs.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), register: "ab" * 48}))
    done = enclave.ask(repo, port, *enclave.test_root)
    assert (done.returncode, f"{register} is not the expected one" in done.stderr) == (3, True)


def test_by_default_it_is_aws_that_signs(repo: Path, enclave: Enclave, port: int) -> None:
    done = enclave.ask(repo, port)
    assert (done.returncode, "rejected at the certificate chain" in done.stderr) == (3, True)


def test_no_key_is_made_before_the_machine_goes_on(repo: Path, enclave: Enclave, port: int) -> None:
    """Who looks whether the port is open makes none; who speaks TLS too early gets none."""
    (enclave.scratch / "awake").unlink()
    socket.create_connection(("127.0.0.1", port)).close()
    assert enclave.ask(repo, port, *enclave.test_root).returncode == 1
    assert enclave.app.identity.cache_info().currsize == 0
    (enclave.scratch / "awake").touch()
    assert enclave.ask(repo, port, *enclave.test_root).returncode == 0


def test_the_apps_own_tests_pass(repo: Path) -> None:
    argv = [sys.executable, "-B", "-m", "unittest"]
    done = subprocess.run(
        argv, cwd=repo / "examples/tls", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
