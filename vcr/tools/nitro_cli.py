"""nitro-cli, which starts enclaves on an EC2 instance, and the agent inside one.

https://docs.aws.amazon.com/enclaves/latest/user/cmd-nitro-run-enclave.html. The agent
listens on vsock port ATTEST_PORT: it is sent one line of JSON, {"nonce": HEX, "user_data":
HEX}, and answers with the document's bytes and the end of the stream.
"""

import json
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.errors import UnhealthyError, VcrError

PROGRAM = "nitro-cli"
DEVICE = Path("/dev/nitro_enclaves")
ATTEST_PORT = 7400
ANSWER_SECONDS, BOOT_SECONDS = 30.0, 120.0
MAX_DOCUMENT = 32768


@dataclass(frozen=True)
class Enclave:
    """One that runs."""

    ident: str
    cid: int  # its address on vsock


def missing(device: Path = DEVICE) -> list[str]:
    """Say what this host lacks for enclaves; nothing, if it is an instance that has them."""
    problems = []
    if not device.exists():
        problems.append(f"{device} is not there: no instance with enclaves enabled")
    if shutil.which(PROGRAM) is None:
        problems.append(f"{PROGRAM} is not installed (aws-nitro-enclaves-cli)")
    return problems


def run_enclave(image: Path, memory_mib: int, cpus: int) -> Enclave:
    """Start the enclave IMAGE, an EIF; raises VcrError."""
    argv: list[process.Arg] = [PROGRAM, "run-enclave", "--eif-path", image]
    argv += ["--memory", str(memory_mib), "--cpu-count", str(cpus)]
    return read_enclave(process.run(argv).stdout)


def read_enclave(told: bytes) -> Enclave:
    """Read what nitro-cli TOLD of an enclave it started; raises VcrError."""
    try:
        content = json.loads(told)
        return Enclave(str(content["EnclaveID"]), int(content["EnclaveCID"]))
    except (ValueError, KeyError, TypeError) as error:
        raise VcrError(f"{PROGRAM} says nothing we understand", why=str(error)) from None


def terminate(enclave: Enclave) -> None:
    """End ENCLAVE; raises VcrError."""
    process.run([PROGRAM, "terminate-enclave", "--enclave-id", enclave.ident])


def ask(enclave: Enclave, user_data: bytes, nonce: bytes | None) -> bytes:
    """Return the document that the agent of ENCLAVE gets for USER_DATA and NONCE.

    Waits for an enclave that still starts; raises UnhealthyError, VcrError.
    """
    end = time.monotonic() + BOOT_SECONDS
    while True:
        try:
            with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as stream:
                stream.settimeout(ANSWER_SECONDS)
                stream.connect((enclave.cid, ATTEST_PORT))
                return ask_over(stream, user_data, nonce)
        except OSError as error:
            if time.monotonic() < end:
                time.sleep(1)
                continue
            raise UnhealthyError(
                f"the enclave {enclave.ident} does not answer",
                why=f"vsock {enclave.cid}:{ATTEST_PORT}: {error}",
                fix=f"look at its console: {PROGRAM} console --enclave-id {enclave.ident}",
            ) from None


def ask_over(stream: socket.socket, user_data: bytes, nonce: bytes | None) -> bytes:
    """Speak with the agent at the other end of STREAM; raises OSError, VcrError."""
    asked = {"nonce": (nonce or b"").hex(), "user_data": user_data.hex()}
    stream.sendall(json.dumps(asked, sort_keys=True).encode() + b"\n")
    answer = b""
    while chunk := stream.recv(MAX_DOCUMENT):
        answer += chunk
        if len(answer) > MAX_DOCUMENT:
            raise VcrError("the enclave's document is too long")
    return answer
