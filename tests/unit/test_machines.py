"""Machines without a machine: ports, records, health, the QEMU command line."""

import http.server
import itertools
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vcr.agent.client import Agent, NoAnswerError
from vcr.cli.running.logs import parse_since
from vcr.diagnosis.facts import Facts
from vcr.engines.datagrams import listen_datagrams
from vcr.engines.machine import Channels, Forward
from vcr.engines.python_child import python_child
from vcr.engines.qemu import boot, kvm, network
from vcr.engines.qemu.boot import BootMachine
from vcr.engines.registry import load_machine
from vcr.engines.relay import listen
from vcr.errors import HostError, UsageError
from vcr.model.health import CommandProbe, HealthCheck, HttpProbe
from vcr.planner.ports import split_exposed
from vcr.runtime.follow import Read, follow, read_log
from vcr.runtime.health import Prober, wait_until_healthy
from vcr.runtime.log_index import index_of, length_at, wait_for_end
from vcr.runtime.machine import tail
from vcr.runtime.ports import (
    MAX_FORWARDS,
    MAX_FREE,
    are_forwarded,
    choose_forwards,
    free_ports,
    holder_of,
    notes,
    parse_forwards,
)
from vcr.runtime.record import Record, Records, start_time
from vcr.sandbox.hardware import DEBUG_PORTS
from vcr.settings import Settings

MACHINE = {
    "schema": 1, "kind": "boot", "name": "app", "qemu": "/s/qemu", "qemu_data": "/s/data",
    "firmware": "/s/fw", "kernel": "/s/kernel", "initramfs": "/s/initramfs",
    "squashfs": "/s/root", "append": "quiet", "memory_mib": 256, "cpus": 2, "ports": [80],
    "health": None,
}  # fmt: skip


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(Settings.load({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/tmp/r"}))


def make_record(pid: int, started: int | None) -> Record:
    return Record("k", "app", "/p", "/s/vm", pid, started or 0, 1.0, (Forward("a", 1, 2),), "x")


# --- ports


@pytest.mark.parametrize(
    ("text", "forwards"),
    [
        ("80", [Forward("127.0.0.1", 0, 80)]),
        ("0:80", [Forward("127.0.0.1", 0, 80)]),
        ("8080:80", [Forward("127.0.0.1", 8080, 80)]),
        ("0.0.0.0:8080:80", [Forward("0.0.0.0", 8080, 80)]),
        ("80-81", [Forward("127.0.0.1", 0, 80), Forward("127.0.0.1", 0, 81)]),
        (
            "1.2.3.4:8080-8081:80-81",
            [Forward("1.2.3.4", 8080, 80), Forward("1.2.3.4", 8081, 81)],
        ),
        ("8080:80/tcp", [Forward("127.0.0.1", 8080, 80)]),
        ("53/udp", [Forward("127.0.0.1", 0, 53, "udp")]),
        ("[::]:5353:53/UDP", [Forward("::", 5353, 53, "udp")]),
        (
            "5000-5001:6000-6001/udp",
            [Forward("127.0.0.1", 5000, 6000, "udp"), Forward("127.0.0.1", 5001, 6001, "udp")],
        ),
    ],
)
def test_forwards_are_read(text: str, forwards: list[Forward]) -> None:
    assert parse_forwards([text]) == tuple(forwards)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1:2:3", "80:0", "70000:80", "80:", "1.2.3.4:80", "80-79", "0-1:80-81",
     "65535-65536:1-2", "1-2:65535-65536", "99999999999999:1", "53/", "53/udp/tcp", "53/udp:53"],
)  # fmt: skip
def test_what_is_no_forward(text: str) -> None:
    with pytest.raises(UsageError, match="does not say which port"):
        parse_forwards([text])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("80-81:80", "2 ports of this host to 1 of the app"),
        ("80:80-81", "1 port of this host to 2 of the app"),
        ("80-82:80-81", "3 ports of this host to 2 of the app"),
    ],
)
def test_ranges_of_different_length(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_forwards([text])


@pytest.mark.parametrize(
    "texts",
    [
        ("8000:80", "8000:81"),
        ("8000:80", "8000:80"),
        ("8000-8009:80-89", "8005:90"),
        ("0.0.0.0:8000:80", "127.0.0.1:8000:81"),
        ("127.0.0.2:8000:80", "0.0.0.0:8000:81"),
        ("[::1]:8000:80", "[::]:8000:81"),
        ("[::1]:8000:80", "[0:0::1]:8000:81"),
        ("5353:53/udp", "5353:54/udp"),
        ("0.0.0.0:5353:53/udp", "5353:54/udp"),
    ],
)
def test_a_port_of_the_host_leads_to_one_of_the_app(texts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="of this host twice"):
        parse_forwards(texts)


def test_what_is_neither_of_tcp_nor_of_udp_is_refused() -> None:
    with pytest.raises(UsageError, match="of the protocol sctp"):
        parse_forwards(["132:132/sctp"])


def test_a_port_of_udp_is_not_that_of_tcp() -> None:
    forwards = parse_forwards(["8000:80", "8000:80/udp"])
    assert [str(each) for each in forwards] == ["127.0.0.1:8000:80", "127.0.0.1:8000:80/udp"]
    chosen = choose_forwards([80, 81], [Forward("127.0.0.1", 0, 80, "udp")], [80, 82])
    assert [each.target for each in chosen] == ["80/udp", "80", "81", "82/udp"]
    assert are_forwarded([Forward("127.0.0.1", 0, 80)], chosen)
    assert not are_forwarded([Forward("127.0.0.1", 0, 81, "udp")], chosen)
    there = [Forward("127.0.0.1", 5000, 80), Forward("127.0.0.1", 5000, 80, "udp")]
    assert are_forwarded(there, there)
    assert not are_forwarded(there, there[:1])


def test_a_port_of_udp_that_is_taken_names_its_holder() -> None:
    with listen_datagrams("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(HostError, match=f"port {port}/udp is not free") as raised:
            choose_forwards([], [Forward("127.0.0.1", port, 53, "udp")])
        assert f"(pid {os.getpid()})" in raised.value.why
        assert f"-p {port + 1}:53/udp" in raised.value.fix
        choose_forwards([], [Forward("127.0.0.1", port, 53)])  # of TCP nobody has it


def test_a_port_of_the_app_may_have_several_of_the_host() -> None:
    texts = ("8000:80", "8001:80", "127.0.0.2:8000:80", "0:80", "0:81", "80", "81")
    assert len(parse_forwards(texts)) == len(texts)


def test_addresses_of_ipv6_are_read_and_written_in_one_form() -> None:
    forwards = parse_forwards(["[::1]:8000:80", "[FD00:0::2]:0:80", "[::]:8001:81", "8000:82"])
    assert [each.address for each in forwards] == ["::1", "fd00::2", "::", "127.0.0.1"]
    assert [str(each) for each in forwards][:2] == ["[::1]:8000:80", "[fd00::2]:0:80"]
    for text in ("[::1:8000:80", "[]:8000:80", "::1:8000:80", "[1]:80:80", "[::g]:80:80"):
        with pytest.raises(UsageError):
            parse_forwards([text])
    for text in ("[1::2::3]:80:80", "[:::]:80:80", "999.1.1.1:80:80"):
        with pytest.raises(UsageError, match="has no valid address"):
            parse_forwards([text])


def test_a_port_of_ipv6_is_opened_beside_that_of_ipv4() -> None:
    with listen("::1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(HostError, match=f"port {port} is not free"):
            choose_forwards([], [Forward("::1", port, 80)])
        with listen("0.0.0.0", port), socket.create_connection(("::1", port), 5) as client:
            client.sendall(b"asked")
            with listener.accept()[0] as server:
                assert server.recv(5) == b"asked"
    with listen("::", 0) as listener, pytest.raises(ConnectionRefusedError):  # not of IPv4
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 5)
    for address in ("2001:db8::1", "192.0.2.1"):
        with pytest.raises(HostError, match=f"this host has no address {address}"):
            choose_forwards([], [Forward(address, 0, 80)])


@pytest.mark.parametrize("address", ["::1", "::"])
def test_health_is_asked_over_ipv6(address: str) -> None:
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Host"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.HTTPServer):
        address_family = socket.AF_INET6

    with Server((address, 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        port = server.server_port
        check = HealthCheck(HttpProbe(80, "/"), 1.0, 5.0, 0.0, None, 1)
        prober = Prober(check, (Forward(address, port, 80),), Agent(Path("/nonexistent")))
        assert prober.probe(5.0).healthy
    assert asked == [f"[::1]:{port}"]


def test_as_many_ports_as_there_are_streams_are_forwarded() -> None:
    assert len(parse_forwards(["10001-12048:1-2048", "20001-22048:2049-4096"])) == MAX_FORWARDS
    with pytest.raises(UsageError, match="-p names 4097 ports"):
        parse_forwards(["10001-14097:1-4097"])


def test_no_port_of_the_host_is_chosen_twice() -> None:
    chosen = choose_forwards(range(1, 3000), [Forward("127.0.0.1", 0, port) for port in (1, 2)])
    assert len({forward.host for forward in chosen}) == len(chosen) == 2999


def test_every_port_of_the_guest_gets_one_of_the_host() -> None:
    first, second = choose_forwards([80, 81], [Forward("127.0.0.1", 0, 81)])
    assert (first.guest, second.guest) == (81, 80)
    assert 0 < first.host != second.host > 0


def test_a_port_that_is_taken_names_its_holder() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert f"(pid {os.getpid()})" in holder_of(port)
        with pytest.raises(HostError) as caught:
            choose_forwards([], [Forward("127.0.0.1", port, 80)])
    assert f"(pid {os.getpid()}) listens on it" in caught.value.why
    assert holder_of(port) == ""


# --- records


def test_a_record_is_kept_and_forgotten(records: Records) -> None:
    record = make_record(os.getpid(), start_time(os.getpid()))
    records.save(record)
    assert records.load("k") == record
    assert records.all() == [record]
    assert record.is_running
    records.forget(make_record(1, 1))
    assert records.load("k") is None


def test_a_machine_that_replaced_another_has_its_files_elsewhere(records: Records) -> None:
    first, second = records.places("k")
    assert records.last_channels("k") == records.channels("k")
    for place, now in ((first, 1), (second, 2)):
        log = records.channels(place).log
        log.parent.mkdir(parents=True)
        log.touch()
        os.utime(log, (now, now))
    assert records.last_channels("k") == records.channels(second)
    record = replace(make_record(1, 1), place=first)
    records.save(record)
    assert records.last_channels("k") == records.channels(first)
    records.forget(record)
    assert records.load("k") is None


def test_a_reused_process_id_is_not_ours() -> None:
    started = start_time(os.getpid())
    assert started is not None
    assert not make_record(os.getpid(), started - 1).is_running


def test_an_ended_process_is_not_running() -> None:
    child = subprocess.Popen(["true"])
    record = make_record(child.pid, start_time(child.pid))
    child.wait()
    assert not record.is_running


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 9}', '{"schema": 1, "x": 2}'])
def test_a_damaged_record_is_no_record(records: Records, text: str) -> None:
    path = records.directory("k") / "machine.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert records.load("k") is None
    assert records.all() == []


def test_two_at_once_are_refused(records: Records) -> None:
    with (
        records.locked("k"),
        pytest.raises(HostError, match="another vcr is starting"),
        records.locked("k"),
    ):
        pass
    with records.locked("k"):
        pass


def test_a_socket_path_that_is_too_long_is_said(tmp_path: Path) -> None:
    settings = Settings.load({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/" + "x" * 120})
    with pytest.raises(HostError, match="too long for a socket"):
        Records(settings).channels("k")


# --- health


class FakeGuest:
    """A real socket with an agent behind it that answers from a script."""

    def __init__(self, path: Path, answers: dict[str, list[str]]) -> None:
        self.answers, self.asked = answers, list[str]()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rw") as lines:
                request = lines.readline().strip()
                self.asked.append(request)
                answers = self.answers.get(request.split()[0], ["error"])
                lines.write((answers.pop(0) if len(answers) > 1 else answers[0]) + "\n")
                lines.flush()


def alive() -> None:
    pass


def test_a_command_probe_asks_the_agent_until_it_succeeds(tmp_path: Path) -> None:
    guest = FakeGuest(
        tmp_path / "a", {"ping": ["pong"], "health": ["health 1 b29wcw==", "health 0"]}
    )
    check = HealthCheck(CommandProbe(("x",)), interval=1, timeout=7, retries=3)
    prober = Prober(check, (), Agent(tmp_path / "a"))
    assert wait_until_healthy(prober, alive, None).healthy
    assert guest.asked == ["ping", "health 7", "health 7"]


def test_an_app_that_stays_unhealthy_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    FakeGuest(tmp_path / "a", {"ping": ["pong"], "health": ["health 1 b29wcw=="]})
    check = HealthCheck(CommandProbe(("x",)), interval=0.2, start_period=0.3, retries=2)
    begin = time.monotonic()
    outcome = wait_until_healthy(Prober(check, (), Agent(tmp_path / "a")), alive, None)
    assert not outcome.healthy
    assert outcome.detail == "exit code 1: oops"
    assert 0.7 <= time.monotonic() - begin < 5


@pytest.mark.parametrize(
    ("used", "rounds"),
    [
        ([0], 1),  # it waits for something
        ([5000, 5000], 1),  # booting took time, and then it waits
        ([0, 100, 190, 200, 200], 3),  # it works, and then it waits
        ([0, 100, 200, 300, 400, 500, 600], 5),  # it works for ever
    ],
)
def test_without_a_check_an_app_has_more_time_while_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: list[int], rounds: int
) -> None:
    for module in ("patience", "health"):
        monkeypatch.setattr(f"vcr.runtime.{module}.NO_CHECK_SECONDS", 0.2)
    facts = [f"facts {Facts(cpu_ms=each).to_line()}" for each in used]
    answers = {"ping": ["pong"], "state": ["starting"], "facts": facts}
    guest = FakeGuest(tmp_path / "a", answers)
    begin = time.monotonic()
    outcome = wait_until_healthy(Prober(None, (), Agent(tmp_path / "a")), alive, None)
    assert not outcome.healthy
    assert 0.2 * rounds <= outcome.seconds <= time.monotonic() - begin
    assert guest.asked.count("facts") == min(rounds, 4) + 1


def test_a_machine_that_ended_ends_the_wait(tmp_path: Path) -> None:
    def ended() -> None:
        raise HostError("it ended")

    with pytest.raises(HostError, match="it ended"):
        wait_until_healthy(Prober(None, (), Agent(tmp_path / "a")), ended, None)


def test_an_agent_that_is_not_there_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NoAnswerError):
        Agent(tmp_path / "none").ask("ping", 1)
    assert not Agent(tmp_path / "none").is_up()


@pytest.fixture
def web_port() -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "healthy"), [(200, True), (204, True), (302, True), (404, False), (503, False)]
)
def test_http_probes(web_port: int, tmp_path: Path, status: int, healthy: bool) -> None:
    check = HealthCheck(HttpProbe(80, f"/{status}"), timeout=5)
    prober = Prober(check, (Forward("127.0.0.1", web_port, 80),), Agent(tmp_path / "a"))
    assert prober.probe().healthy is healthy
    missing = replace(prober, forwards=())
    assert missing.probe().detail == "port 80 is not forwarded"


# --- logs


def test_following_a_log_sees_every_line_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\nhal")
    over = iter([False, False, True])

    def is_over() -> bool:
        with path.open("a") as file:
            file.write("f\n")
        return next(over)

    assert list(follow(path, is_over, 4)) == ["two", "half", "f", "f"]


def test_a_log_is_read_from_the_line_that_a_byte_is_in(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\r\ntwo\nthr")
    assert read_log(log) == Read(("one", "two"), 9, "thr")
    for begin, lines in ((4, ("one", "two")), (5, ("two",)), (8, ("two",)), (9, ()), (99, ())):
        assert read_log(log, begin) == Read(lines, 9, "thr")
    log.write_bytes(b"\n")
    assert read_log(log) == Read(("",), 1, "")
    assert read_log(tmp_path / "none") == Read((), 0, "")


# --- when a log was written


def test_the_index_of_a_log_tells_how_long_it_was(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(FileNotFoundError):
        length_at(log, 0)
    index_of(log).write_text("100.000 7\n100.250 9\n200.000 20\n")
    found = {moment: length_at(log, moment) for moment in (50.0, 100.0, 100.1, 101.0, 200.0, 300.0)}
    assert found == {50.0: 0, 100.0: 0, 100.1: 7, 101.0: 9, 200.0: 9, 300.0: 20}


def test_logs_are_watched_until_the_machine_ends(tmp_path: Path) -> None:
    logs = [tmp_path / "app.log", tmp_path / "console.log"]
    for log in logs:
        log.write_text("before\n")
        index_of(log).touch()
    machine = subprocess.Popen(["sleep", "1000"])
    told = json.dumps({"pid": machine.pid, "logs": [str(log) for log in logs]})
    watcher = subprocess.Popen(python_child("vcr.runtime.log_index", told))
    deadline = time.monotonic() + 20
    while not index_of(logs[1]).read_text():
        assert time.monotonic() < deadline
    time.sleep(1.5)
    moment = time.time()
    with logs[0].open("a") as file:
        file.write("after\n")
    while len(index_of(logs[0]).read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
    noted = time.time() + 0.01
    assert [length_at(log, moment) for log in logs] == [7, 7]
    assert length_at(logs[0], noted) == 13
    assert noted - moment < 5
    with logs[1].open("a") as file:
        file.write("last\n")
    machine.kill()
    machine.wait()
    wait_for_end(logs[0])
    assert watcher.wait(20) == 0
    assert length_at(logs[1], time.time() + 1) == 12


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", 400.0),
        ("1h30m", -4400.0),
        ("0", 1000.0),
        ("1970-01-01T00:10:00Z", 600.0),
        ("1970-01-01 01:10+01:00", 600.0),
    ],
)
def test_what_since_means(text: str, moment: float) -> None:
    assert parse_since(text, 1000.0) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "10", "2026-13-01"])
def test_what_since_does_not_mean(text: str) -> None:
    with pytest.raises(UsageError, match="neither a time nor a duration"):
        parse_since(text, 1000.0)


def test_the_tail_of_a_console_leaves_the_firmware_out(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("OpenSBI\nBoot HART 1\nBoot HART 2\n\nkernel\n")
    assert tail(tmp_path / "c", after="Boot HART") == ["kernel"]
    assert tail(tmp_path / "none") == []


# --- QEMU


def test_the_command_line_is_as_recorded(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "vm.json").write_text(json.dumps(MACHINE))
    machine = load_machine(tmp_path)
    channels = Channels(Path("/c/console"), Path("/c/log"), Path("/c/agent"), Path("/c/qmp"))
    assert isinstance(machine, BootMachine)
    argv = machine.qemu_argv(network.OPEN, channels)
    golden = repo / "tests" / "golden" / "qemu.txt"
    assert "\n".join(argv) + "\n" == golden.read_text()
    (tmp_path / "vm.json").write_text(json.dumps({**MACHINE, "debug": True}))
    debug = load_machine(tmp_path)
    assert isinstance(debug, BootMachine)
    more = debug.qemu_argv(network.OPEN, channels)
    added = [word for word in more if word not in argv]
    assert added[:2] == [
        "socket,path=/c/debug0,server=on,wait=off,id=debug0",
        "virtserialport,chardev=debug0,name=vcr.debug0",
    ]
    assert len(added) == 2 * DEBUG_PORTS


def test_a_machine_of_this_host_runs_by_kvm_where_kvm_runs_guests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vm.json").write_text(json.dumps({**MACHINE, "arch": "amd64", "cpus": 8}))
    machine = load_machine(tmp_path)
    assert isinstance(machine, BootMachine)
    channels = Channels(Path("/c/console"), Path("/c/log"), Path("/c/agent"), Path("/c/qmp"))
    asked: list[tuple[str, ...]] = []

    def works(argv: tuple[str, ...]) -> bool:
        asked.append(argv)
        return len(asked) == 1

    monkeypatch.setattr(boot, "runs_guests", works)
    for native, expected in (
        (True, "kvm"),
        (True, "tcg,thread=multi"),
        (False, "tcg,thread=multi"),
    ):
        monkeypatch.setattr(boot, "has_kvm", lambda _, native=native: native)
        argv = machine.qemu_argv(network.OPEN, channels)
        words = dict(itertools.pairwise(argv))
        assert words["-accel"] == expected
        assert (words["-machine"], words["-smp"]) == ("microvm,acpi=off,rtc=on", "2")
        assert not any("-pci" in word for word in argv)
    assert len(asked) == 2
    assert "-no-reboot" in asked[0]
    assert not any("root" in word for word in asked[0])


def test_kvm_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "SECONDS", 0.2)
    assert kvm.runs_guests(("true",))
    assert not kvm.runs_guests(("false",))
    assert not kvm.runs_guests(("sleep", "60"))


def test_the_health_check_of_vm_json_is_read(tmp_path: Path) -> None:
    health = {"interval": 1, "timeout": 2, "start_period": 3, "start_interval": 4, "retries": 5}
    for probe, expected in (
        ({"path": "/", "port": 1}, HttpProbe(1, "/")),
        ({"argv": ["a", "b"]}, CommandProbe(("a", "b"))),
    ):
        text = json.dumps({**MACHINE, "health": {**health, "probe": probe}})
        (tmp_path / "vm.json").write_text(text)
        assert load_machine(tmp_path).health == HealthCheck(expected, 1, 2, 3, 4, 5)


def test_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vm.json").write_text(json.dumps({**MACHINE, "schema": 2}))
    with pytest.raises(UsageError, match="another version of vcr"):
        load_machine(tmp_path)


def test_an_app_of_thousands_of_ports_gets_some_and_what_its_health_asks() -> None:
    ports = tuple(range(10_000, 14_001))
    check = HealthCheck(HttpProbe(13_999, "/"))
    chosen = free_ports(ports, check)
    assert len(chosen) == MAX_FREE
    assert chosen[:2] == (13_999, 10_000)
    assert free_ports((80, 81), None) == (80, 81)
    (note,) = notes([], ports)
    assert "4001 ports: 256 get a free port" in note


def test_ports_are_told_by_their_protocol() -> None:
    exposed: list[str | int] = ["53/UDP", "80", "79/tcp", 81, "52/udp", "9/sctp"]
    assert split_exposed(exposed) == ((79, 80, 81), (52, 53), ("9/sctp",))
    (note,) = notes(["9/sctp"], (80,))
    assert note == "EXPOSE 9/sctp: nothing leads there, since vcr forwards TCP and UDP only"
    assert notes([], (80,)) == []
