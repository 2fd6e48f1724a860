"""The dev image run by Docker or Podman, on request: `--runtime`.

The program is the user's own, the image vcr's: its layout becomes an archive that both
load. A process beside the program answers what guest/agent answers, and removes the
container when vcr ends, however it ends. docker-run(1), podman-run(1)
"""

import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vcr import process
from vcr.agent.server import Answers, listen_unix
from vcr.engines.container.docker_look import NEVER_STARTED, Looker
from vcr.engines.container.door import door_bind, lay_out_door, listen_door, serve_door
from vcr.engines.container.layers import remove_tree
from vcr.engines.container.machine import ContainerMachine, wait_until_started
from vcr.engines.container.shim import exit_code, guarded
from vcr.engines.logs import last_lines
from vcr.engines.machine import Channels, Forward
from vcr.engines.parent import death_signal, die_with_parent
from vcr.engines.python_child import python_child
from vcr.errors import HostError, UsageError
from vcr.formats.job import as_record
from vcr.model.health import CommandProbe, HealthCheck
from vcr.sandbox.linuxkit import TMPFS
from vcr.signals import notice_ends_of_children

ARCHIVE = "image.tar"
START_SECONDS = 100.0  # more than crun has: the program may first make a machine, or a network
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class DockerMachine:
    """A container of the program PROGRAM, from what a ContainerMachine is made of."""

    container: ContainerMachine
    program: str  # docker or podman
    skopeo: Path

    @property
    def ports(self) -> tuple[int, ...]:
        """TCP ports of the app."""
        return self.container.ports

    @property
    def udp_ports(self) -> tuple[int, ...]:
        """UDP ports of the app."""
        return self.container.udp_ports

    @property
    def health(self) -> HealthCheck | None:
        """How its health is asked for."""
        return self.container.health

    @property
    def reference(self) -> str:
        """Return the name of the image, which says what is in it."""
        index = json.loads((self.container.layout / "index.json").read_bytes())
        digest = index["manifests"][0]["digest"].removeprefix("sha256:")
        return f"vcr.local/{self.container.name}:{digest[:32]}"

    def prepare(self, channels: Channels) -> None:
        """Load the image into the program's store; raises HostError."""
        check_program(self.program)
        remove_tree(channels.scratch)
        channels.scratch.mkdir(parents=True, mode=0o700)
        lay_out_door(channels.scratch)
        (channels.scratch / "env").write_text(env_file(self.container.additions.env))
        if process.run([self.program, "image", "inspect", self.reference], ok=None).returncode:
            # By a name without a directory: a colon in one would end the path.
            source, target = f"oci:{self.container.layout}", f"docker-archive:{ARCHIVE}"
            copy: list[process.Arg] = [self.skopeo, "--insecure-policy", "copy", "--quiet"]
            process.run([*copy, source, f"{target}:{self.reference}"], cwd=channels.scratch)
            archive = channels.scratch / ARCHIVE
            process.run([self.program, "load", "--quiet", "--input", archive])
            archive.unlink()

    def command_line(self, forwards: Sequence[Forward], channels: Channels) -> list[str]:
        """Return the argv that runs it."""
        probe = self.health.probe if self.health else None
        name = container_name(channels)
        task = Task(
            program=self.program,
            name=name,
            run=tuple(self.run_argv(name, forwards, channels.scratch)),
            scratch=str(channels.scratch),
            log=str(channels.log),
            console=str(channels.console),
            agent=str(channels.agent),
            health=probe.argv if isinstance(probe, CommandProbe) else (),
            layout=str(self.container.layout),
            config=self.container.config,
            env=tuple(self.container.additions.env),
            binds=tuple(bind.target for bind in self.container.binds()),
            writable=self.container.writable,
        )
        return python_child("vcr.engines.container.docker", json.dumps(asdict(task)))

    def run_argv(self, name: str, forwards: Sequence[Forward], scratch: Path) -> list[str]:
        """Return the argv of the program; SCRATCH has what `prepare` made."""
        binds = [*self.container.binds(), door_bind(scratch)]
        return [
            *(self.program, "run", "--name", name, "--env-file", str(scratch / "env")),
            "--no-healthcheck",  # vcr asks itself
            *("--security-opt", "no-new-privileges"),
            # As Docker has it, and vcr's own containers; podman would keep the host's 1024.
            *("--sysctl", "net.ipv4.ip_unprivileged_port_start=0"),
            *(() if self.container.writable else ("--read-only",)),
            *(word for path in TMPFS for word in ("--tmpfs", path)),
            *(word for f in forwards for word in ("-p", str(f))),
            *(word for bind in binds for word in ("--mount", bind.to_option())),
            self.reference,
        ]

    def begin(self, channels: Channels) -> None:
        """Wait until the app was started, or the program gave up; raises HostError."""
        wait_until_started(channels, START_SECONDS)


def container_name(channels: Channels) -> str:
    """Return the name of the container with these CHANNELS."""
    return f"vcr-{hashlib.sha256(str(channels.console).encode()).hexdigest()[:16]}"


def env_file(variables: Sequence[str]) -> str:
    """Return VARIABLES, NAME=value each, as a file for --env-file; raises UsageError."""
    for variable in variables:
        if "\n" in variable or "\r" in variable:
            raise UsageError(
                f"the variable {variable.partition('=')[0]} has more than one line",
                why="docker and podman read variables from a file with one variable for each line",
                fix="leave --runtime out: vcr's own containers accept any value",
            )
    return "".join(f"{variable}\n" for variable in variables)


def check_program(program: str) -> None:
    """Raise HostError unless PROGRAM is there and can run containers."""
    if shutil.which(program, path=process.child_env().get("PATH")) is None:
        raise HostError(
            f"{program} is not on this host",
            why=f"--runtime {program} needs it",
            fix=f"install {program}, or leave --runtime out: vcr has its own tools",
        )
    done = process.run([program, "info"], ok=None)
    if done.returncode:
        said = [line for line in f"{done.text}\n{done.stderr}".splitlines() if line.strip()]
        raise HostError(
            f"{program} does not work here",
            why=said[-1].strip() if said else "",
            fix=f"start its service, or leave --runtime out: `{program} info` has to succeed",
        )


@dataclass(frozen=True)
class Task:
    """What a process of this module does."""

    program: str
    name: str
    run: tuple[str, ...]  # the argv that runs the container
    scratch: str
    log: str
    console: str
    agent: str
    health: tuple[str, ...]  # a command in the container
    layout: str
    config: dict[str, Any]  # of the image
    env: tuple[str, ...]  # NAME=value that it is given
    binds: tuple[str, ...]  # where it sees directories of this host
    writable: bool

    def looker(self) -> Looker:
        """Return what looks at the container."""
        layout, scratch = Path(self.layout), Path(self.scratch)
        given = (self.config, self.env, self.binds, self.writable)
        return Looker(self.program, self.name, layout, scratch, *given)

    def say(self, text: str) -> None:
        """Add a line to the console."""
        with Path(self.console).open("a") as file:
            file.write(f"vcr: {text}\n")


def main(text: str) -> None:
    """Run the container that the JSON TEXT of a Task is about, and remove it at the end."""
    task = as_record(Task, json.loads(text))
    program, name = task.program, task.name
    remove = [program, "rm", "--force", name]

    def end(_signal: int, _frame: object) -> None:
        process.run(remove, ok=None)
        os._exit(1)

    def stop(grace: float) -> None:
        process.run([program, "stop", "--time", str(round(grace)), name], ok=None)

    def run() -> None:
        process.run(remove, ok=None)  # of an earlier one that was killed
        try:
            _run(task, stop)
        finally:
            process.run(remove, ok=None)

    notice_ends_of_children()
    signal.signal(signal.SIGTERM, end)
    if death_signal():
        die_with_parent(signal.SIGTERM)  # killed at once it could not remove the container
    guarded(Path(task.scratch), run)


def _run(task: Task, stop: Callable[[float], None]) -> None:
    """Run the container of TASK to its end, and say what was seen of it then."""
    asked, scratch = listen_unix(Path(task.agent)), Path(task.scratch)
    serve_door(listen_door(scratch))
    looker = task.looker()
    with Path(task.log).open("ab") as log:
        app = process.spawn(task.run, output=log, die_with_parent=False)

    def code() -> int | None:
        return None if app.poll() is None else exit_code(app)

    def line() -> str:
        facts = looker.facts(code())
        return "" if facts is None else facts.to_line()

    argv = [task.program, "exec", task.name]
    Answers(argv, task.health, stop, lambda: looker.state(code), line).serve(asked)
    while app.poll() is None and looker.inspect().status in NEVER_STARTED:
        time.sleep(POLL_SECONDS)
    if (ended := code()) is not None and not looker.has_started(ended):
        raise _cannot_run(task)
    (scratch / "started").touch()
    task.say(f"exit app rc={exit_code(app)}")
    if seen := line():
        task.say(f"facts {seen}")


def _cannot_run(task: Task) -> HostError:
    """Return the error for a program that did not get as far as starting the app."""
    said = [line.strip() for line in last_lines(Path(task.log)) if line.strip()]
    return HostError(
        f"{task.program} cannot run the container",
        why=said[-1] if said else "it did not say why",
        fix="leave --runtime out: vcr's own containers need no such program",
    )
