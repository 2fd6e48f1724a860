"""Providers: what each measures, answers and checks; and what is said where one cannot run."""

import base64
import datetime as dt
import hashlib
import http.server
import json
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from nitro_pki import NOW, TestModule
from test_attest_dsse import ALICE, MALLORY, trusted

from vcr.attest.checks.receipt import parse_receipt
from vcr.attest.checks.rejected import Joint, RejectedError
from vcr.attest.domains import of_parent
from vcr.attest.providers import Evidence, Launch, Parts, Provider, nitro, report_data
from vcr.attest.providers.command import Command
from vcr.attest.providers.emulated import Emulated
from vcr.attest.providers.nitro import Beside, Nitro
from vcr.attest.providers.software import Software
from vcr.engines.enclave.emulated import Setup
from vcr.engines.enclave.nsm import SoftwareNsm
from vcr.errors import (
    ExitCode,
    FetchError,
    HostError,
    MismatchError,
    UnhealthyError,
    UsageError,
    VcrError,
)
from vcr.export.nbd import Address
from vcr.formats import pcrs
from vcr.formats.eif import Image, encode
from vcr.tools import nitro_cli, nsm
from vcr.tools.nbdkit import Nbdkit

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


IMAGE = Image(
    "amd64", b"kernel" * 1000, "console=ttyS0", (b"ramdisk0" * 1000, b"ramdisk1" * 1000),
    b"{}", memory=1 << 28, cpus=2,
)  # fmt: skip


def image_file(directory: Path, image: Image = IMAGE) -> Path:
    path = directory / "eif"
    path.write_bytes(encode(image))
    return path


def test_registers_are_computed_as_aws_describes(tmp_path: Path) -> None:
    launch = Nitro().measure(Parts(ROOT, image_file(tmp_path)))

    def register(*contents: bytes) -> bytes:
        return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(contents)).digest()).digest()

    kernel, first, second = b"kernel" * 1000, b"ramdisk0" * 1000, b"ramdisk1" * 1000
    assert launch.reference == {
        "PCR0": register(kernel, b"console=ttyS0", first, second),
        "PCR1": register(kernel, b"console=ttyS0", first),
        "PCR2": register(second),
        "PCR16": hashlib.sha384(bytes(48) + ROOT).digest(),
    }


def test_a_damaged_image_is_not_measured(tmp_path: Path) -> None:
    path = image_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(MismatchError):
        Nitro().measure(Parts(ROOT, path))


def emulated_document(registers: Mapping[str, bytes], root: bytes) -> tuple[bytes, bytes]:
    """Return what an enclave with PCR0 to PCR2 of REGISTERS answers, and its run's root."""
    module = SoftwareNsm({n: registers[f"PCR{n}"] for n in (0, 1, 2)}, NOW.timestamp())
    for request in ({"ExtendPCR": {"index": 16, "data": root}}, {"LockPCR": {"index": 16}}):
        module.handle(cbor2.dumps(request))
    asked = {"Attestation": {"user_data": of_parent(BOUND), "nonce": b"n", "public_key": None}}
    answer = cbor2.loads(module.handle(cbor2.dumps(asked)))
    return answer["Attestation"]["document"], pem(module.root)


def test_an_emulated_document_holds_up_to_the_root_of_its_run(tmp_path: Path) -> None:
    provider = Emulated(Setup(image_file(tmp_path), *[tmp_path] * 4))
    launch = provider.measure(Parts(ROOT, image_file(tmp_path)))
    document, mine = emulated_document(launch.reference, ROOT)
    evidence = Evidence("aws-nitro-v1", document, {"root.pem": mine})
    claims = provider.verify(evidence, launch, report_data=BOUND, nonce=b"n", at=NOW)
    assert claims.measured.items() >= launch.reference.items()
    assert joint_of(provider, launch, evidence, nonce=b"m") is Joint.NONCE
    _, theirs = emulated_document(launch.reference, ROOT)
    for collateral in ({}, {"root.pem": theirs}, {"root.pem": b"?"}):
        wrong = replace(evidence, collateral=collateral)
        assert joint_of(provider, launch, wrong, nonce=b"n") is Joint.CHAIN
    # Nobody else takes it for one of AWS.
    assert joint_of(Nitro(), launch, evidence, nonce=b"n") is Joint.CHAIN


@pytest.mark.parametrize(
    ("changed", "register"),
    [
        (replace(IMAGE, kernel=b"another"), "PCR0"),
        (replace(IMAGE, cmdline="console=ttyS0 init=/bin/sh"), "PCR0"),
        (replace(IMAGE, ramdisks=(b"another", IMAGE.ramdisks[1])), "PCR0"),
        (replace(IMAGE, ramdisks=(IMAGE.ramdisks[0], b"another")), "PCR0"),
        (IMAGE, "PCR16"),
    ],
    ids=["kernel", "command line", "loader", "verity parameters", "drive"],
)
def test_an_enclave_of_something_else_is_rejected(
    changed: Image, register: str, tmp_path: Path
) -> None:
    """Whole images, whose checksums are right: what gives them away is what was measured."""
    provider = Emulated(Setup(tmp_path, *[tmp_path] * 4))
    launch = provider.measure(Parts(ROOT, image_file(tmp_path)))
    ran = provider.measure(Parts(ROOT, image_file(tmp_path, changed)))
    root = bytes(32) if changed == IMAGE else ROOT
    document, certificate = emulated_document(ran.reference, root)
    evidence = Evidence("aws-nitro-v1", document, {"root.pem": certificate})
    with pytest.raises(RejectedError, match="rejected at the PCR") as caught:
        provider.verify(evidence, launch, report_data=BOUND, nonce=b"n", at=NOW)
    assert caught.value.why.startswith(f"{register} ")


def pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def test_a_document_is_checked_against_what_was_measured() -> None:
    module = TestModule()
    module.extend(16, ROOT)
    provider = Nitro(root=module.root)
    launch = provider.measure(PARTS)
    evidence = Evidence("aws-nitro-v1", module.document(user_data=of_parent(BOUND), nonce=b"n"))
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
    for words in ("nsm does not exist", "/dev/nitro_enclaves does not exist", "nitro-cli"):
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
    assert caught.value.why == "it answers InputTooLarge"
    for answer in (cbor2.dumps("DescribePCR"), b"", cbor2.dumps({"Attestation": {"document": 1}})):
        with pytest.raises(VcrError, match="no document"):
            nsm.document_of(answer)


def test_what_nitro_cli_says() -> None:
    told = b'{"EnclaveName": "x", "EnclaveID": "i-1-enc2", "EnclaveCID": 18, "NumberOfCPUs": 2}'
    assert nitro_cli.read_enclave(told) == nitro_cli.Enclave("i-1-enc2", 18)
    with pytest.raises(VcrError, match="nitro-cli"):
        nitro_cli.read_enclave(b"Start allocating memory...")


def test_the_enclave_is_asked_over_vsock_what_the_loader_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All of `nitro` but the hypervisor: another enclave's program, and no drive."""
    asked: list[Any] = []
    ended: list[nitro_cli.Enclave] = []

    def connect(_: nitro_cli.Enclave, port: int) -> socket.socket:
        ours, theirs = socket.socketpair()

        def answer() -> None:
            with theirs:
                asked.append((port, json.loads(theirs.makefile().readline())))
                document = base64.b64encode(b"doc" * 3000).decode()
                theirs.sendall(json.dumps({"document": document}).encode() + b"\n")

        threading.Thread(target=answer).start()
        return ours

    @contextmanager
    def serve(_nbdkit: Nbdkit, seal: Path, address: Address) -> Iterator[None]:
        asked.append((seal, address.uri))
        yield

    monkeypatch.setattr(nitro_cli.Enclave, "connect", connect)

    def run_enclave(*words: object) -> nitro_cli.Enclave:
        asked.append(words)
        return nitro_cli.Enclave("i-1-enc2", 16)

    monkeypatch.setattr(nitro_cli, "run_enclave", run_enclave)
    monkeypatch.setattr(nitro_cli, "terminate", ended.append)
    monkeypatch.setattr(nitro, "serve", serve)
    image = image_file(tmp_path)
    session = Beside(image, tmp_path, Nbdkit(tmp_path, tmp_path))
    with session as entered:
        assert entered.attest(b"\x01", b"\x02").blob == b"doc" * 3000
        assert not ended
    assert [enclave.ident for enclave in ended] == ["i-1-enc2"]
    assert asked == [
        (tmp_path, "nbd+vsock://2:10809"),
        (image, 256, 2),
        (9002, {"attest": {}}),
        (9002, {"attest": {"nonce": "Ag==", "user_data": "AQ=="}}),
    ]


def test_an_enclave_that_never_serves_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended: list[nitro_cli.Enclave] = []
    monkeypatch.setattr(nitro, "BOOT_SECONDS", 0)
    monkeypatch.setattr(nitro, "serve", lambda *_: nullcontext())
    enclave = nitro_cli.Enclave("i-1-enc2", 4_000_000)
    monkeypatch.setattr(nitro_cli, "run_enclave", lambda *_: enclave)
    monkeypatch.setattr(nitro_cli, "terminate", ended.append)
    session = Beside(image_file(tmp_path), tmp_path, Nbdkit(tmp_path, tmp_path))
    with pytest.raises(UnhealthyError, match="i-1-enc2 does not answer"), session:
        pass
    assert ended == [enclave]


def test_a_connection_to_an_enclave_that_is_not_there() -> None:
    with pytest.raises(OSError, match=r"."):
        nitro_cli.Enclave("i-1-enc2", 4_000_000).connect(9002)


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
    _, evidence = proven(Command(b"envelope", url=f"{service}/ipr", may_be_own=True))
    receipt = parse_receipt(evidence.blob)
    assert (receipt.service, receipt.answer) == (f"{service}/ipr", b"receipt 7")
    assert Service.taken == [("application/vnd.dsse.envelope.v1+json", b"envelope")]
    with pytest.raises(FetchError) as caught:
        proven(Command(b"envelope", url=f"{service}/no", may_be_own=True))
    assert (caught.value.why, caught.value.tail) == ("it answers 403", ("receipt 7",))


def test_a_moment_is_given_never_taken() -> None:
    """verify() is pure: what expired holds at the time it is asked about."""
    module = TestModule()
    module.extend(16, ROOT)
    provider, evidence = (
        Nitro(root=module.root),
        Evidence("", module.document(user_data=of_parent(BOUND))),
    )
    launch = provider.measure(PARTS)
    late = NOW + dt.timedelta(days=1)
    assert provider.verify(evidence, launch, report_data=BOUND, nonce=None, at=NOW)
    assert joint_of(provider, launch, evidence, at=late) is Joint.VALIDITY


def test_an_address_of_vcr_toml_is_not_this_host(service: str) -> None:
    with pytest.raises(FetchError, match="is refused") as caught:
        proven(Command(b"envelope", url=f"{service}/ipr"))
    assert "this host" in caught.value.why
    assert not Service.taken


@pytest.mark.parametrize("text", ["", "  ", "'", "http://", "https://a b/"])
def test_what_names_no_service(text: str) -> None:
    with pytest.raises(UsageError, match="--service"):
        Command.of(text)


def test_a_service_is_words_or_an_address() -> None:
    assert Command.of("submit --to 'a b'").argv == ("submit", "--to", "a b")
    assert Command.of("https://h/x") == Command(url="https://h/x", may_be_own=True)
