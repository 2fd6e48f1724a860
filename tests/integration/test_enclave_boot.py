"""From a project to an app in an emulated enclave, and to a document that vouches for it.

All of the way with `vcr up`: test_enclave_tls.py.
"""

import base64
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cbor2
import pytest
from eif_reader import read_eif
from nitro_document import read_document
from test_prod import stage

from vcr.agent.client import Agent
from vcr.attest.domains import of_parent
from vcr.build.builder import Builder
from vcr.engines.enclave import wire
from vcr.engines.enclave.emulated import Emulation, Setup
from vcr.engines.enclave.image import measure_image, read_image
from vcr.engines.registry import load_machine
from vcr.errors import MismatchError, UnhealthyError
from vcr.formats.eif import decode, encode
from vcr.formats.hashes.verity import BLOCK, Verity
from vcr.model.arch import Arch
from vcr.planner.prepare import prepare
from vcr.runtime.record import Records
from vcr.sandbox.enclave import parameters
from vcr.settings import Settings
from vcr.ui import Ui

pytestmark = [pytest.mark.nix, pytest.mark.vm, pytest.mark.kernel("enclave")]

REPO = Path(__file__).resolve().parents[2]
STATIC = REPO / "examples" / "static"
SECONDS = 300.0  # it takes one minute
NITRO = os.environ.get("VCR_QEMU_NITRO")


@pytest.fixture
def built(vcr: Any) -> dict[str, Any]:
    answer = vcr.json("build", "enclave", "--profile", "prod", STATIC)
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
def setup(vcr: Any, built: dict[str, Any]) -> Setup:
    """What `vcr up --enclave` starts, without starting it."""
    project, plan = prepare(STATIC, arch=Arch.RISCV64, profile="prod")
    done = Builder(Settings.load(vcr.env), Ui(), project).build(plan, ("enclave", "emulation"))
    machine: Any = load_machine(done.path("emulation"))
    found: Setup = machine.setup
    return found


@contextmanager
def running(setup: Setup, **options: Any) -> Iterator[Emulation]:
    with tempfile.TemporaryDirectory(prefix="vcr-") as name:
        scratch = Path(name)
        with Emulation(setup, scratch, scratch / "console", **options) as enclave:
            yield enclave


def verity_of(built: dict[str, Any]) -> Verity:
    return Verity.of(json.loads((stage(built, "seal") / "verity.json").read_bytes()))


def opened(document: bytes, root: bytes) -> dict[str, Any]:
    """Return what DOCUMENT says; its signature holds and its chain begins with ROOT."""
    found = read_document(document)
    assert found["cabundle"][0] == root
    return dict(found)


def ask(vcr: Any, request: str) -> bytes:
    """Ask the server of the enclave that is up; its answer is a word and base64."""
    records = Records(Settings.load(vcr.env))
    (record,) = records.all()
    word, data = Agent(records.channels(record.key).agent).ask(request, SECONDS).split()
    assert word != "error"
    return base64.b64decode(data)


def test_an_emulated_enclave_proves_a_statement(vcr: Any, tmp_path: Path) -> None:
    """As on Nitro, with the root of the run in the place of AWS's."""
    vcr("attest", "keygen", tmp_path / "alice")
    said, nonce = tmp_path / "said.json", os.urandom(16).hex()
    vcr("attest", STATIC, "--profile", "prod", "--predicate", "root-hash", "--provider", "emulated",
        "--key", tmp_path / "alice.key", "--nonce", nonce, "--output", said)  # fmt: skip
    proof = tmp_path / "said.json.emulated"
    root = ("--root", tmp_path / "said.json.emulated.root.pem")
    words = ("attest", "verify", said, proof, "--key", tmp_path / "alice.pub")
    told = vcr.json(*words, *root, "--nonce", nonce, "--max-age", "1h")
    assert [row["type"] for row in told["evidence"]] == ["aws-nitro-v1"]
    assert {"eif", "pcr0", "pcr1", "pcr2", "sealed"} <= set(told["ladder"])
    done = vcr(*words, *root, "--nonce", nonce)
    assert "they prove nothing about an enclave" in done.stderr
    assert "not all demanded" not in done.stderr  # the statement has them
    assert "rejected at the certificate chain" in vcr(*words, code=3).stderr
    assert "rejected at the nonce" in vcr(*words, *root, "--nonce", "00", code=3).stderr
    zero = ("--pcr", f"0={'1' * 96}")
    assert "rejected at the PCR" in vcr(*words, *root, *zero, code=3).stderr


@pytest.mark.skipif(NITRO is None, reason="needs VCR_QEMU_NITRO: QEMU with nitro-enclave")
def test_qemus_own_nitro_enclave_measures_what_we_do(built: dict[str, Any], setup: Setup) -> None:
    """It reads the image file itself and has /dev/nsm, which the loader asks as on Nitro."""
    told = json.loads((stage(built, "enclave") / "pcrs.json").read_bytes())
    with running(setup, nitro=Path(NITRO or "")) as enclave:
        enclave.wait_until_serving(SECONDS)
        port = enclave.forward("127.0.0.1", 0, 8080)
        with urlopen(f"http://127.0.0.1:{port}/", timeout=SECONDS) as answer:
            assert b"verifiable machine" in answer.read()
        document = enclave.attest(nonce=b"n" * 32, user_data=b"said")
        assert "this enclave is emulated" not in enclave.console.read_text(errors="replace")
    found = cbor2.loads(cbor2.loads(document)[2])  # nobody has signed it
    assert (found["nonce"], found["user_data"]) == (b"n" * 32, of_parent(b"said"))
    for number in (0, 1, 2, 16):
        assert found["pcrs"][number].hex() == told[f"PCR{number}"]


def test_another_reader_agrees_with_the_ladder(built: dict[str, Any]) -> None:
    image = read_eif((stage(built, "enclave") / "enclave.eif").read_bytes())
    rungs = {rung["name"]: rung["digest"] for rung in built["ladder"]}
    assert {f"pcr{n}": f"sha384:{v.hex()}" for n, v in image.pcrs.items()} == {
        name: rungs[name] for name in ("pcr0", "pcr1", "pcr2")
    }
    # PCR2 is of the root hash, the salt and the number of blocks alone.
    verity = verity_of(built)
    alone = Verity(verity.root_hash, verity.salt, "", verity.data_blocks, 0)
    assert image.of_kind(3)[1] == parameters(alone)


def said(enclave: Emulation, line: bytes) -> dict[str, Any]:
    """Return the answer to LINE on the control port, {} where the enclave hangs up."""
    with enclave.connect(wire.CONTROL_PORT) as connection:
        connection.settimeout(SECONDS)
        connection.sendall(line)
        with connection.makefile("rb") as lines:
            return dict(json.loads(lines.readline() or b"{}"))


def test_the_parent_gets_no_key_signed_and_no_port_that_is_not_exposed(setup: Setup) -> None:
    """T3: it had documents with any public_key and user_data, and reached all of the machine."""
    key = base64.b64encode(b"the parent's own key").decode()
    with running(setup) as enclave:
        enclave.wait_until_serving(SECONDS)
        for field in ("public_key", "Public_Key"):
            answer = said(enclave, json.dumps({"attest": {field: key}}).encode() + b"\n")
            assert set(answer) == {"error"}
            assert "public_key is refused" in answer["error"]
        forged = base64.b64encode(b"vcr app v1\n" + b"k" * 32).decode()
        answer = said(enclave, json.dumps({"attest": {"user_data": forged}}).encode() + b"\n")
        document = opened(base64.b64decode(answer["document"]), enclave.nsm.root)
        assert document["user_data"] == b"vcr parent v1\nvcr app v1\n" + b"k" * 32
        assert document["public_key"] is None
        assert said(enclave, b"x" * 100_000) == {}  # a line without end
        for port in (22, 80, 8081, 65535):
            with enclave.connect(wire.APP_PORT) as connection:
                connection.settimeout(SECONDS)
                connection.sendall(wire.app_preface(port) + b"GET / HTTP/1.0\r\n\r\n")
                with suppress(ConnectionResetError):
                    assert connection.recv(1) == b""
            wait_for(enclave, f"the app does not expose port {port}")
        port = enclave.forward("127.0.0.1", 0, 8080)
        with urlopen(f"http://127.0.0.1:{port}/", timeout=SECONDS) as page:
            assert b"verifiable machine" in page.read()


def wait_for(enclave: Emulation, words: str) -> None:
    """Wait until the console has WORDS: they come another way than what was just said."""
    deadline = time.monotonic() + SECONDS
    while words not in enclave.console.read_text(errors="replace"):
        assert time.monotonic() < deadline, enclave.last_words()
        time.sleep(0.1)


def test_words_that_were_moved_to_the_kernels_end_are_missed(setup: Setup, tmp_path: Path) -> None:
    """T14: the registers are the same, for nothing in them says where the kernel ends."""
    moved = "reboot=k "
    image = decode(setup.image.read_bytes())
    assert image.cmdline.startswith(moved)
    line = image.cmdline.removeprefix(moved)
    forged = replace(image, kernel=image.kernel + moved.encode(), cmdline=line)
    assert measure_image(forged) == measure_image(image)
    (tmp_path / "eif").write_bytes(encode(forged))
    assert "the command line is not the one of the image" in fails(
        replace(setup, image=tmp_path / "eif")
    )


def fails(setup: Setup, **options: Any) -> str:
    """Start an enclave that must end without serving; return its last words."""
    with running(setup, **options) as enclave:
        with pytest.raises(UnhealthyError) as caught:
            enclave.wait_until_serving(SECONDS)
        assert not enclave.is_running
    return "\n".join(caught.value.tail)


def test_a_changed_byte_of_the_drive_is_an_input_error(
    built: dict[str, Any], setup: Setup, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    shutil.copy(setup.drive, drive)
    drive.chmod(0o600)
    with drive.open("r+b") as file:
        at = verity_of(built).data_blocks // 8 * BLOCK + BLOCK // 2  # all before it is read first
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    said = fails(replace(setup, drive=drive))
    assert "the drive is not the one that was measured" in said
    assert "input/output error" in said


def test_another_root_is_refused_and_measured(
    built: dict[str, Any], setup: Setup, tmp_path: Path
) -> None:
    image = decode(setup.image.read_bytes())
    other = parameters(replace(verity_of(built), root_hash="00" * 32))
    changed = replace(image, ramdisks=(image.ramdisks[0], other))
    (tmp_path / "eif").write_bytes(encode(changed))
    said = fails(replace(setup, image=tmp_path / "eif"))
    assert "the drive is not the one that was measured" in said
    before, after = map(measure_image, (image, changed))
    assert before[1] == after[1]
    assert before[2] != after[2]


def test_without_its_drive_an_enclave_ends(setup: Setup) -> None:
    def hangs_up() -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.close()
        return theirs

    assert "attaching the drive" in fails(setup, drive=hangs_up)


def test_a_changed_image_does_not_start(setup: Setup, tmp_path: Path) -> None:
    data = bytearray(setup.image.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "eif").write_bytes(data)
    with pytest.raises(MismatchError, match="damaged"):
        read_image(tmp_path / "eif")


def test_an_enclave_needs_the_profile_and_the_engine(vcr: Any) -> None:
    assert "add --profile prod" in vcr("up", "--enclave", STATIC, code=2).stderr
    words = ("build", "enclave", "--profile", "prod", "--engine", "cartesi", STATIC)
    assert "add --engine qemu" in vcr(*words, code=2).stderr
