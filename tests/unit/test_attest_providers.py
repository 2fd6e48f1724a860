"""Providers: what each measures, answers and checks; and what is said where one cannot run."""

import datetime as dt
import hashlib
import http.server
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from nitro_pki import NOW, TestModule
from test_attest_dsse import ALICE, MALLORY, trusted

from vcr.attest.providers import Evidence, Launch, Parts, Provider, report_data
from vcr.attest.providers.command import Command
from vcr.attest.providers.nitro import Beside, Nitro
from vcr.attest.providers.software import Software
from vcr.attest.receipt import parse_receipt
from vcr.attest.rejected import Joint, RejectedError
from vcr.errors import ExitCode, FetchError, HostError, VcrError
from vcr.sandbox import pcrs
from vcr.tools import nitro_cli, nsm

ROOT = bytes(range(32))
PARTS = Parts(ROOT)
BOUND = report_data(b"statement")


def proven(provider: Provider, nonce: bytes | None = None) -> tuple[Launch, Evidence]:
    launch = provider.measure(PARTS)
    with provider.run(launch) as session:
        return launch, session.attest(BOUND, nonce)


def joint_of(provider: Provider, launch: Launch, evidence: Evidence, **changes: Any) -> Joint:
    wanted: dict[str, Any] = {"report_data": BOUND, "nonce": None, "at": NOW, **changes}
    with pytest.raises(RejectedError) as caught:
        provider.verify(evidence, launch, **wanted)
    return caught.value.joint


def test_software_answers_with_its_key() -> None:
    provider = Software(ALICE, trusted(ALICE))
    launch, evidence = proven(provider, b"n")
    claims = provider.verify(evidence, launch, report_data=BOUND, nonce=b"n", at=NOW)
    assert claims.measured == {"root": ROOT}
    assert joint_of(provider, launch, evidence, nonce=b"m") is Joint.NONCE
    assert joint_of(provider, launch, evidence, report_data=b"x") is Joint.USER_DATA
    stranger = Software(MALLORY, trusted(MALLORY))
    assert joint_of(stranger, launch, evidence, nonce=b"n") is Joint.SIGNATURE


def test_registers_are_computed_as_aws_describes(tmp_path: Path) -> None:
    for name in ("kernel", "ramdisk0", "ramdisk1"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    ramdisks = (tmp_path / "ramdisk0", tmp_path / "ramdisk1")
    launch = Nitro().measure(Parts(ROOT, tmp_path / "kernel", "console=ttyS0", ramdisks))

    def register(*contents: bytes) -> bytes:
        return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(contents)).digest()).digest()

    kernel, first, second = b"kernel" * 1000, b"ramdisk0" * 1000, b"ramdisk1" * 1000
    assert launch.reference == {
        "PCR0": register(kernel, b"console=ttyS0", first, second),
        "PCR1": register(kernel, b"console=ttyS0", first),
        "PCR2": register(second),
        "PCR16": hashlib.sha384(bytes(48) + ROOT).digest(),
    }
    assert pcrs.of_certificate(b"certificate") == register(b"certificate")


def test_a_document_is_checked_against_what_was_measured() -> None:
    module = TestModule()
    module.extend(16, ROOT)
    provider = Nitro(root=module.root)
    launch = provider.measure(PARTS)
    evidence = Evidence("aws-nitro-v1", module.document(user_data=BOUND, nonce=b"n"))
    claims = provider.verify(evidence, launch, report_data=BOUND, nonce=b"n", at=NOW)
    assert claims.issued == NOW
    assert claims.measured["PCR16"] == pcrs.of_root(ROOT)
    other = provider.measure(Parts(bytes(32)))
    assert joint_of(provider, other, evidence, nonce=b"n") is Joint.PCR
    assert joint_of(provider, launch, evidence, nonce=b"m") is Joint.NONCE
    assert joint_of(Nitro(), launch, evidence, nonce=b"n") is Joint.CHAIN


def test_a_host_without_enclaves_says_what_is_missing(tmp_path: Path) -> None:
    provider = Nitro(device=tmp_path / "nsm")
    with pytest.raises(HostError) as caught:
        provider.run(provider.measure(PARTS))
    assert caught.value.code is ExitCode.HOST
    for words in ("nsm is not there", "/dev/nitro_enclaves is not there", "nitro-cli"):
        assert words in caught.value.why
    assert "EC2" in caught.value.fix


def test_a_device_that_is_no_security_module(tmp_path: Path) -> None:
    (tmp_path / "nsm").write_bytes(b"")
    provider = Nitro(device=tmp_path / "nsm")
    with provider.run(provider.measure(PARTS)) as session, pytest.raises(HostError):
        session.attest(BOUND)


def test_what_the_security_module_is_asked_and_answers() -> None:
    # As serde_cbor writes Request::Attestation of aws-nitro-enclaves-nsm-api.
    assert nsm.request(b"\x01", None).hex() == (
        "a16b4174746573746174696f6e"  # {"Attestation":
        "a369757365725f646174614101"  # {"user_data": h'01',
        "656e6f6e6365f6"  # "nonce": null,
        "6a7075626c69635f6b6579f6"  # "public_key": null}}
    )
    assert nsm.document_of(cbor2.dumps({"Attestation": {"document": b"doc"}})) == b"doc"
    with pytest.raises(VcrError) as caught:
        nsm.document_of(cbor2.dumps({"Error": "InputTooLarge"}))
    assert caught.value.why == "it says InputTooLarge"
    for answer in (cbor2.dumps("DescribePCR"), b"", cbor2.dumps({"Attestation": {"document": 1}})):
        with pytest.raises(VcrError, match="no document"):
            nsm.document_of(answer)


def test_what_nitro_cli_says() -> None:
    told = b'{"EnclaveName": "x", "EnclaveID": "i-1-enc2", "EnclaveCID": 18, "NumberOfCPUs": 2}'
    assert nitro_cli.read_enclave(told) == nitro_cli.Enclave("i-1-enc2", 18)
    with pytest.raises(VcrError, match="nitro-cli"):
        nitro_cli.read_enclave(b"Start allocating memory...")


def test_the_agent_of_an_enclave_is_asked() -> None:
    ours, theirs = socket.socketpair()
    asked: list[Any] = []

    def agent() -> None:
        with theirs:
            asked.append(json.loads(theirs.makefile().readline()))
            theirs.sendall(b"doc" * 3000)

    thread = threading.Thread(target=agent)
    thread.start()
    with ours:
        assert nitro_cli.ask_over(ours, b"\x01", b"\x02") == b"doc" * 3000
    thread.join()
    assert asked == [{"nonce": "02", "user_data": "01"}]


def test_an_enclave_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nitro_cli, "BOOT_SECONDS", 0)
    with pytest.raises(VcrError) as caught:
        Beside(nitro_cli.Enclave("i-1-enc2", 4_000_000)).attest(BOUND)
    assert caught.value.code in {ExitCode.UNHEALTHY, ExitCode.HOST}


def test_a_command_gets_the_statement_and_its_answer_is_kept() -> None:
    script = "import sys; print(len(sys.stdin.buffer.read()), 'taken')"
    provider = Command(b"envelope", (sys.executable, "-c", script))
    launch, evidence = proven(provider)
    assert parse_receipt(evidence.blob).answer == b"8 taken\n"
    assert provider.verify(evidence, launch, report_data=BOUND, nonce=None, at=NOW)
    assert joint_of(provider, launch, evidence, report_data=b"x") is Joint.RECEIPT
    with pytest.raises(VcrError, match="exit code 3"):
        proven(Command(b"envelope", (sys.executable, "-c", "raise SystemExit(3)")))
    with pytest.raises(HostError):
        proven(Command(b"envelope", ("no-such-program-anywhere",)))


class Service(http.server.BaseHTTPRequestHandler):
    taken: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.taken.append((self.headers["Content-Type"], body))
        self.send_response(201 if self.path == "/ipr" else 403)
        self.end_headers()
        self.wfile.write(b"receipt 7")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    Service.taken = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_address_gets_the_statement(service: str) -> None:
    _, evidence = proven(Command(b"envelope", url=f"{service}/ipr"))
    receipt = parse_receipt(evidence.blob)
    assert (receipt.service, receipt.answer) == (f"{service}/ipr", b"receipt 7")
    assert Service.taken == [("application/vnd.dsse.envelope.v1+json", b"envelope")]
    with pytest.raises(FetchError) as caught:
        proven(Command(b"envelope", url=f"{service}/no"))
    assert (caught.value.why, caught.value.tail) == ("it answers 403", ("receipt 7",))


def test_a_moment_is_given_never_taken() -> None:
    """verify() is pure: what expired holds at the time it is asked about."""
    module = TestModule()
    module.extend(16, ROOT)
    provider, evidence = Nitro(root=module.root), Evidence("", module.document(user_data=BOUND))
    launch = provider.measure(PARTS)
    late = NOW + dt.timedelta(days=1)
    assert provider.verify(evidence, launch, report_data=BOUND, nonce=None, at=NOW)
    assert joint_of(provider, launch, evidence, at=late) is Joint.VALIDITY
