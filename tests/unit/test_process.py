import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import is_running

from vcr import process
from vcr.errors import HostError, VcrError

PYTHON = sys.executable


def test_output_is_returned_and_stderr_kept() -> None:
    result = process.run([PYTHON, "-c", "import sys; print('out'); print('err', file=sys.stderr)"])
    assert result.text == "out"
    assert result.stderr == "err\n"


def test_a_failure_shows_the_last_lines_and_the_command() -> None:
    code = "import sys\nfor i in range(50): print(i, file=sys.stderr)\nsys.exit(4)"
    with pytest.raises(VcrError) as caught:
        process.run([PYTHON, "-c", code])
    assert "exit code 4" in caught.value.what
    assert caught.value.tail[-1] == "49"
    assert len(caught.value.tail) == process.TAIL_LINES
    assert PYTHON in caught.value.fix


def test_a_killed_program_says_by_which_signal() -> None:
    with pytest.raises(VcrError, match="SIGKILL"):
        process.run([PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"])


def test_an_unknown_program_is_a_host_error() -> None:
    with pytest.raises(HostError, match="no-such-program"):
        process.run(["no-such-program"])


def test_a_failure_is_one_where_ends_of_children_were_ignored() -> None:
    code = (
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "from vcr import cli, process\n"
        "try: cli.main(['--version'])\n"
        "except SystemExit: pass\n"
        "print(process.run(['false'], ok=None).returncode)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([PYTHON, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1"


def test_nothing_is_run_where_a_failure_would_be_a_success(tmp_path: Path) -> None:
    def run() -> object:
        return process.run(["false"], ok=None)

    def attach() -> object:
        return process.attach(["false"], stdin=None, stdout=1, stderr=2)

    def spawn() -> object:
        with (tmp_path / "log").open("wb") as output:
            return process.spawn(["false"], output=output, die_with_parent=True)

    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        for start in (run, attach, spawn, lambda: process.foreground(["false"])):
            with pytest.raises(HostError, match="SIGCHLD"):
                start()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_timeout_ends_the_program() -> None:
    before = time.monotonic()
    with pytest.raises(VcrError, match=r"did not finish in 0\.2 seconds"):
        process.run([PYTHON, "-c", "import time; time.sleep(60)"], timeout=0.2)
    assert time.monotonic() - before < 10


def test_ambient_values_never_reach_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("PYTHONSTARTUP", "x")
    code = "import os; m = os.umask(0); print(dict(os.environ), oct(m))"
    old = os.umask(0o077)
    try:
        text = process.run([PYTHON, "-I", "-c", code]).text
    finally:
        os.umask(old)
    assert "SOURCE_DATE_EPOCH" not in text
    assert "PYTHONSTARTUP" not in text
    assert "'LC_ALL': 'C.UTF-8'" in text
    assert "'TZ': 'UTC'" in text
    assert text.endswith("0o22")


def test_watching_stderr_survives_much_output_on_both_pipes() -> None:
    code = (
        "import sys\nfor i in range(5000):\n  print('o' * 80); print('e' * 80, file=sys.stderr)\n"
    )
    seen: list[str] = []
    result = process.run([PYTHON, "-c", code], on_stderr=seen.append, timeout=60)
    assert len(seen) == 5000
    assert len(result.text.splitlines()) == 5000


def test_stdin_is_given_while_stderr_is_watched() -> None:
    code = "import sys; sys.stderr.write(sys.stdin.read())"
    seen: list[str] = []
    process.run([PYTHON, "-c", code], stdin=b"a\nb\n", on_stderr=seen.append)
    assert seen == ["a", "b"]


def test_a_spawned_child_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from vcr import process\n"
        f"log = open({str(tmp_path / 'log')!r}, 'wb')\n"
        "child = process.spawn(['sleep', '60'], output=log, die_with_parent=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [PYTHON, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and is_running(child):
        time.sleep(0.02)
    assert not is_running(child)


# --- attached


def attached(code: str, tmp_path: Path) -> tuple[int, str]:
    with (tmp_path / "out").open("wb") as out:
        argv = [sys.executable, "-c", code]
        ended = process.attach(argv, stdin=None, stdout=out.fileno(), stderr=out.fileno())
    return ended, (tmp_path / "out").read_text()


def test_an_attached_program_ends_as_a_shell_would_say(tmp_path: Path) -> None:
    assert attached("print('x'); raise SystemExit(3)", tmp_path) == (3, "x\n")
    assert attached("import os; os.kill(os.getpid(), 9)", tmp_path) == (137, "")
    with pytest.raises(HostError, match="not on this host"):
        process.attach(["/no/such"], stdin=None, stdout=1, stderr=2)


def test_signals_to_end_are_passed_on_to_an_attached_program(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(60)\n"
    )
    assert attached(code, tmp_path) == (5, "")
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_signal_ends_an_attached_program(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(0.5)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(KeyboardInterrupt):
        attached(code, tmp_path)


def test_who_watches_may_end_a_program_and_loses_nothing_it_says() -> None:
    seen = []
    done = process.run(["sh", "-c", "echo a; sleep 1.2; echo b"], watch=lambda: seen.append(1))
    assert (done.stdout, len(seen) >= 2) == (b"a\nb\n", True)

    def stop() -> None:
        raise HostError("enough")

    begin = time.monotonic()
    with pytest.raises(HostError, match="enough"):
        process.run(["sleep", "30"], watch=stop)
    assert time.monotonic() - begin < 10
