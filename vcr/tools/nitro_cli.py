"""nitro-cli, which starts enclaves on an EC2 instance.

https://docs.aws.amazon.com/enclaves/latest/user/cmd-nitro-run-enclave.html
"""

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from vcr import process
from vcr.errors import VcrError
from vcr.foreign import load_json

PROGRAM = "nitro-cli"
DEVICE = Path("/dev/nitro_enclaves")
CONNECT_SECONDS = 30.0


@dataclass(frozen=True)
class Enclave:
    """One that runs."""

    ident: str
    cid: int  # its address on vsock

    def connect(self, port: int) -> socket.socket:
        """Return a connection to its vsock PORT; raises OSError."""
        stream = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        try:
            stream.settimeout(CONNECT_SECONDS)
            stream.connect((self.cid, port))
        except OSError:
            stream.close()
            raise
        return stream


def missing(device: Path = DEVICE) -> list[str]:
    """Say what this host lacks for enclaves; nothing, if it is an instance that has them."""
    problems = []
    if not device.exists():
        problems.append(f"{device} does not exist: this is not an instance with enclaves enabled")
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
        content = load_json(told)
        return Enclave(str(content["EnclaveID"]), int(content["EnclaveCID"]))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise VcrError(
            f"{PROGRAM} gives an answer that vcr does not understand", why=str(error)
        ) from None


def terminate(enclave: Enclave) -> None:
    """End ENCLAVE; raises VcrError."""
    process.run([PROGRAM, "terminate-enclave", "--enclave-id", enclave.ident])
