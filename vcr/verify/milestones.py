"""When a deterministic machine came how far: milestones of its start, in instructions.

A machine on QEMU counts an instruction as a nanosecond (`-icount shift=0`), so the kernel's
times are counts of instructions, from where its clock begins. Sources: the kernel's log in
the snapshot's memory; crun's status file, which lies in memory, too; machine.json.
"""

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path

from vcr.report.page import Milestone
from vcr.verify.kernel_log import KernelLog, mapped, read_log

# In the log; each is written when it has happened, or just before.
WORDS = {
    "Run /init as init process": "the initramfs starts",
    "loop0: detected capacity change": "the root is found",
}
CLOCK_SET = re.compile(r"setting system clock to .* UTC \((\d+)\)")
# What the kernel adds to what the RTC says: rtc_hctosys in drivers/rtc/class.c.
HALF = dt.timedelta(seconds=0.5)
CREATED = re.compile(rb'"created": "(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z"')  # crun's status


def milestones(snapshot: Path) -> tuple[Milestone, ...]:
    """Return what is known of the start of the machine in the output SNAPSHOT, in its order.

    Of a machine that is not QEMU's nothing is. Raises OSError, ValueError.
    """
    made = json.loads((snapshot / "machine.json").read_bytes())
    if made["engine"] != "qemu":
        return ()
    healthy = Milestone("the app is healthy", int(made["instructions"]))
    ram = snapshot / "ram"
    log = read_log(ram)
    found = [] if log is None else [*_of_log(log), *_of_container(log, ram)]
    known = sorted(
        (each for each in found if each.instructions <= healthy.instructions),
        key=lambda each: each.instructions,
    )
    return (*known, healthy)


def _of_log(log: KernelLog) -> Iterator[Milestone]:
    yield Milestone("the kernel's clock starts", log.began)
    for words, name in WORDS.items():
        line = next((each for each in log.lines if each.text.startswith(words)), None)
        if line is not None:
            yield Milestone(name, log.began + line.at)


def _of_container(log: KernelLog, ram: Path) -> Iterator[Milestone]:
    """Yield when the app's container was made, told by the clock that the log says was set."""
    set_at = next(((each, m) for each in log.lines if (m := CLOCK_SET.search(each.text))), None)
    with mapped(ram) as memory:
        created = {match[1].decode() for match in CREATED.finditer(memory)}
    if set_at is None or len(created) != 1:
        return
    line, match = set_at
    made = dt.datetime.fromisoformat(created.pop()).replace(tzinfo=dt.UTC)
    after = made - dt.datetime.fromtimestamp(int(match[1]), dt.UTC) - HALF
    nanoseconds = after // dt.timedelta(microseconds=1) * 1000
    yield Milestone("the app's container is made", log.began + line.at + nanoseconds)
