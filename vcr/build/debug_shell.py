"""`vcr build --debug-shell`: a shell in the build machine of a RUN that has failed.

The step is run once more outside of Nix, as `vcr lock` does it, in the same machine:
layers, user, directory, environment, mounts and network are those of the build, which is
what is locked and no more. Its /init has a shell besides (guest/step/shell.go). Nothing of
the project runs on this host, and nothing of the shell gets into a build.
"""

from pathlib import Path

from vcr.atomic import scratch_directory
from vcr.build.builder import Builder
from vcr.build.shell_terminal import PORT, Seat, attached
from vcr.command_log import note_started
from vcr.errors import UsageError, VcrError
from vcr.formats.cpio import write_initrd
from vcr.formats.failure import Failure
from vcr.formats.job import read_job
from vcr.model.plan import Plan
from vcr.progress import Progress
from vcr.sandbox import build_machine
from vcr.sandbox import run as step
from vcr.sandbox.qemu.memory import machine_memory
from vcr.ui import Ui

SOCKET = "terminal"
# As in a build, but a machine that waits for a key waits in its own time, too: its clock
# does not run away, nor does the host's CPU.
CLOCK = ("-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on", "-seed", "1")


def check_seat(seat: Seat, ui: Ui) -> None:
    """Raise UsageError unless somebody can sit at SEAT, and UI leaves stderr to the shell."""
    if not seat.is_terminal:
        raise UsageError(
            "--debug-shell needs a terminal",
            why="stdin or stderr is not one",
            fix="run it in a terminal, or leave --debug-shell out",
        )
    if ui.progress is Progress.JSON:
        raise UsageError(
            "the output of a shell is not JSON", fix="leave --debug-shell or --progress json out"
        )


def open_shell(builder: Builder, plan: Plan, ident: str, seat: Seat) -> None:
    """Open a shell at SEAT where the RUN of the layer IDENT ends; return when it is left.

    What keeps it from opening is shown, and no error: the one of the build is what matters.
    """
    ui = builder.ui
    try:
        with ui.step("shell") as shown:
            built = builder.build_layer(plan, ident, shown, part="shells")
            shown.because("the build machine has one now")
        job = read_job(step.Job, str(built))
        ui.note(f"{step.title(job.spec.argv)} is run once more, with a shell where it ends")
        with scratch_directory() as scratch:
            _boot(job, scratch, seat, ui)
    except Failure as failure:
        _warn(ui, failure.report["what"], failure.report["why"])
    except VcrError as error:
        _warn(ui, error.what, error.why)
    except OSError as error:  # such as a TMPDIR whose path is too long for a socket
        _warn(ui, str(error), "")


def _warn(ui: Ui, what: str, why: str) -> None:
    ui.warn(f"there was no shell: {what}{f' ({why})' if why else ''}")


def _boot(job: step.Job, scratch: Path, seat: Seat, ui: Ui) -> None:
    """Boot the machine of JOB; by KVM first if the build does so. Raises Failure."""
    initrd = scratch / "initrd"
    mapping = step.mapping_of(job)
    request = {**step.request(job, mapping), "terminal": seat.kind}
    tree = build_machine.job_tree(request, step.machine_files(job))
    write_initrd(initrd, Path(job.machine.initramfs), tree, job.epoch)

    def run(clock: tuple[str, ...]) -> None:
        with machine_memory(job.machine, scratch) as memory:
            argv = build_machine.command_line(
                job.machine, initrd, scratch, clock=clock, mapping=mapping, memory=memory
            )
            _run(argv, scratch, seat, ui)

    if job.kvm:
        try:
            run(build_machine.KVM)
        except Failure as failure:
            output = scratch / build_machine.OUTPUT
            if output.exists() and output.stat().st_size:
                raise
            ui.note(f"without KVM, because: {failure.report['why']}")
        else:
            return
    run(CLOCK)


def _run(argv: list[str], scratch: Path, seat: Seat, ui: Ui) -> None:
    socket = scratch / SOCKET
    socket.unlink(missing_ok=True)
    argv += ["-chardev", f"socket,id={PORT},path={build_machine.option(socket)}"]
    argv += ["-device", f"virtserialport,chardev={PORT},name={PORT}"]

    def show(piece: bytes) -> None:
        for line in piece.decode("utf-8", "replace").splitlines():
            ui.note(f"  | {line}")

    note_started(argv)  # a line while it runs would be drawn over the shell
    with attached(seat, socket):
        build_machine.run(argv, scratch, show)
