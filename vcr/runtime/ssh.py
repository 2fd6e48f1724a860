"""ssh into a machine of a debug profile, for programs that want it: no port is opened for it.

ssh's ProxyCommand is a program of vcr that asks the machine's agent for an sshd of its own.
The user's key pair is made on this host, once a project, and its public half handed in; the
machine's is made in the machine, where it stays until that ends, and its public half is read
back into known_hosts. ssh_config(5), dropbear(8)
"""

import json
import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from vcr.agent.debug import Request
from vcr.agent.session import Streams
from vcr.atomic import write_bytes, write_text
from vcr.engines.exec import Inside
from vcr.engines.python_child import python_child
from vcr.errors import HostError, UsageError, VcrError
from vcr.escape import visible
from vcr.model.places import ANYWHERE
from vcr.model.project import Project, load_project
from vcr.runtime.exec import answer, carry_out, inside_of
from vcr.runtime.record import Records
from vcr.settings import Settings, without_legacy_ciphers

KEYS = "/run/vcr/ssh"  # in the machine
HOST_KEY = f"{KEYS}/host"
# Makes the machine's key if there is none, takes the user's, prints the machine's.
PREPARE = f"""
set -e
umask 077
mkdir -p {KEYS}
new={KEYS}/new.$$
if ! [ -e {HOST_KEY} ]; then
	dropbearkey -t ed25519 -f $new > /dev/null
	ln $new {HOST_KEY} || true # of two at once, the first one's counts
	rm $new
fi
cat > $new
mv $new {KEYS}/authorized_keys
dropbearkey -y -f {HOST_KEY}
"""
PREPARE_SECONDS = 300.0  # that may take, on a machine that is emulated
# -i: for one connection, on stdin; -s: no passwords
SSHD = ("dropbear", "-i", "-s", "-D", KEYS, "-r", HOST_KEY)


@dataclass(frozen=True)
class Access:
    """What ssh needs on this host to reach the machine of a project, in a directory of its own."""

    project: Project
    settings: Settings

    @property
    def directory(self) -> Path:
        """Return the directory, which nobody else can look into."""
        return self.settings.state_dir / "ssh" / self.project.key

    @property
    def key(self) -> Path:
        """Return the private key."""
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Return the file with the machine's key."""
        return self.directory / "known_hosts"

    @property
    def proxy(self) -> Path:
        """Return the program that connects ssh with the machine."""
        return self.directory / "proxy"

    @property
    def host(self) -> str:
        """Return the name that the machine has for ssh."""
        return f"vcr-{self.project.name}"

    def prepare(self) -> None:
        """Make what is not there yet; raises HostError."""
        _check_place(self.directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.directory.chmod(0o700)
        except OSError as error:
            raise HostError(f"cannot make {self.directory}", why=str(error.strerror)) from None
        if not self.key.exists():
            _make_key(self.key, self.host)
        told = {
            "project": str(self.project.root),
            "state": str(self.settings.state_dir),
            "runtime": str(self.settings.runtime_dir),
        }
        argv = python_child("vcr.runtime.ssh", json.dumps(told))
        write_text(self.proxy, f"#!/bin/sh\nexec {shlex.join(argv)}\n", mode=0o700)

    def config(self) -> str:
        """Return the block for ssh's configuration."""
        lines = {
            "HostName": self.host,
            "Port": "22",
            "User": "root",
            "IdentityFile": _quoted(self.key),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": _quoted(self.known_hosts),
            "StrictHostKeyChecking": "yes",
            "ProxyCommand": shlex.quote(str(self.proxy)).replace("%", "%%"),
        }
        return f"Host {self.host}\n" + "".join(f"  {key} {lines[key]}\n" for key in lines)

    def introduce(self, inside: Inside) -> None:
        """Hand in the user's key and note the machine's; raises VcrError."""
        public = self.key.with_name(f"{self.key.name}.pub")
        with public.open("rb") as file:
            request = Request(
                ("sh", "-c", PREPARE), system=True, has_input=True, seconds=PREPARE_SECONDS
            )
            done = answer(inside, request, file.fileno())
        words = [line.split() for line in done.out.decode("utf-8", "replace").splitlines()]
        keys = [row for row in words if row and row[0] == "ssh-ed25519"]
        if done.code or len(keys) != 1:
            raise VcrError(
                "the machine cannot be reached by ssh",
                why=done.err.decode("utf-8", "replace").strip(),
                fix="does it have the profile vm or prod-debug, of this version of vcr?",
            )
        write_text(self.known_hosts, f"{self.host} {' '.join(keys[0][:2])}\n", mode=0o600)


def way_in(access: Access) -> Inside:
    """Return the way into the machine that is up; raises UsageError when ssh has none."""
    inside = inside_of(access.project, Records(access.settings), lambda: None)
    if not inside.has_system:
        raise UsageError(
            "there is no machine to reach by ssh",
            why="the profile dev runs the app as a container on this host",
            fix="`vcr shell`, or `vcr up --profile vm`",
        )
    return inside


def main(told: str) -> None:
    """Be the ProxyCommand that the JSON text TOLD describes: connect stdin and stdout."""
    words = json.loads(told)
    settings = replace(
        Settings.load(), state_dir=Path(words["state"]), runtime_dir=Path(words["runtime"])
    )
    code = 1
    try:
        access = Access(load_project(Path(words["project"]), outside=ANYWHERE), settings)
        inside = way_in(access)
        access.introduce(inside)
        request = Request(SSHD, system=True, has_input=True, is_socket=True)
        code = carry_out(inside, request, Streams())
    except VcrError as error:
        # ssh's own stderr is this one's: the machine, of which the reason is, steers no terminal.
        told = visible(f"{error.what}{': ' if error.why else ''}{error.why}")
        os.write(2, f"vcr: {told}\n".encode())
    except (KeyboardInterrupt, BrokenPipeError):
        code = 130
    os._exit(code)


def _quoted(path: Path) -> str:
    """Return PATH as a word of ssh_config(5), in which a percent sign begins a token."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def _check_place(directory: Path) -> None:
    """Raise HostError when ssh_config(5) has no way to write the path of DIRECTORY."""
    if any(text in str(directory) for text in ("\n", "\r", "${")):
        raise HostError(
            f"ssh cannot be configured with {str(directory)!r}",
            why="a path in its configuration cannot contain a line break or ${",
            fix="choose another XDG_STATE_HOME",
        )


def _make_key(path: Path, comment: str) -> None:
    """Make an Ed25519 pair at PATH and PATH.pub in OpenSSH's form."""
    without_legacy_ciphers()
    from cryptography.hazmat.primitives import serialization as form  # slow
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
    )

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    write_text(path.with_name(f"{path.name}.pub"), f"{public.decode()} {comment}\n")
    write_bytes(path, private, mode=0o600)
