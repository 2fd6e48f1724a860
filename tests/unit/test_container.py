"""Containers without one: the bundle, the layers, the relay, what is watched."""

import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vcr.app.running.start import parse_variables, parse_volume, read_env_file
from vcr.engines.container import pasta
from vcr.engines.container.bundle import Bind, runtime_config
from vcr.engines.container.docker import DockerMachine
from vcr.engines.container.layers import merge, remove_tree, unpack
from vcr.engines.container.machine import Additions, ContainerMachine, merged_env
from vcr.engines.container.output import spawn_into
from vcr.engines.container.pasta import id_map, pasta_argv
from vcr.engines.container.volumes import make_volumes, plan_volumes
from vcr.engines.machine import Channels, Forward
from vcr.engines.registry import load_machine
from vcr.engines.relay import RESET_AT_CLOSE, Relay, listen
from vcr.errors import UsageError
from vcr.formats.oci import Layout
from vcr.formats.tar import write
from vcr.formats.tree import Node, Tree, directory, text_file
from vcr.formats.users import Account
from vcr.model.project import load_project
from vcr.model.volume import VolumeMount
from vcr.runtime.watch import Changes, Filter
from vcr.sandbox.linuxkit import ROOT_CAPABILITIES, service

CONFIG = {"Cmd": ["/app"], "Env": ["A=1"], "WorkingDir": "/w", "Volumes": {"/data": {}}}

# --- the bundle


def config_for(account: Account, *, rootless: bool, binds: tuple[Bind, ...] = ()) -> dict[str, Any]:
    tree = Tree()
    tree.put("data", Node("dir", 0o750, 1, 2))
    wanted = service(CONFIG, account, tree, writable=False)
    return runtime_config(wanted, Path("/r"), binds, rootless=rootless)


def test_the_app_is_who_the_image_says() -> None:
    process = config_for(Account(33, 44, (55,)), rootless=False)["process"]
    assert process["user"] == {"uid": 33, "gid": 44, "additionalGids": [44, 55]}
    assert process["capabilities"] == {"bounding": [], "effective": [], "permitted": []}
    assert process["noNewPrivileges"] is True
    assert (process["args"], process["cwd"]) == (["/app"], "/w")
    root = config_for(Account(0, 0), rootless=False)
    assert root["process"]["capabilities"]["bounding"] == ROOT_CAPABILITIES
    assert root["root"] == {"path": "/r", "readonly": True}
    assert "uidMappings" not in root["linux"]


def test_without_root_the_one_user_there_is_becomes_the_apps() -> None:
    config = config_for(Account(33, 44, (55,)), rootless=True)
    assert {"type": "user"} in config["linux"]["namespaces"]
    assert config["linux"]["uidMappings"] == [{"containerID": 33, "hostID": 0, "size": 1}]
    assert config["linux"]["gidMappings"] == [{"containerID": 44, "hostID": 0, "size": 1}]
    assert config["process"]["user"]["additionalGids"] == []
    (data,) = (row for row in config["mounts"] if row["destination"] == "/data")
    assert data["options"][2:] == ["tmpcopyup", "mode=750", "uid=33", "gid=44"]


def test_the_network_is_the_one_around_and_mounts_are_in_order() -> None:
    config = config_for(Account(0, 0), rootless=False, binds=(Bind(Path("/h"), "/data/x", True),))  # noqa: FBT003
    assert {"type": "network"} not in config["linux"]["namespaces"]
    targets = [mount["destination"] for mount in config["mounts"]]
    assert targets[-1] == "/data/x"
    assert targets.index("/data") < targets.index("/data/x")
    assert config["mounts"][-1]["options"] == ["rbind", "nosuid", "nodev", "ro"]


def test_variables_given_win_and_keep_their_place() -> None:
    assert merged_env(["A=1", "B=2"], ["B=x=y", "C="]) == ["A=1", "B=x=y", "C="]


# --- options


def test_volumes_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    assert parse_volume("./d:/x") == Bind(tmp_path / "d", "/x")
    assert parse_volume(f"{tmp_path}:/x:ro") == Bind(tmp_path, "/x", read_only=True)
    for text in ("d", "d:x", ":/x", "d:/x:rx", "d:/a/../b"):
        with pytest.raises(UsageError, match="what to show and where"):
            parse_volume(text)
    with pytest.raises(UsageError, match="there is no"):
        parse_volume("./none:/x")


def test_a_volume_without_a_slash_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert parse_volume("data:/x") == VolumeMount("data", "/x")
    assert parse_volume("My_data.1:/x:ro") == VolumeMount("My_data.1", "/x", read_only=True)
    for text in ("./data:/x", f"{tmp_path}/data:/x"):
        assert parse_volume(text) == Bind(tmp_path / "data", "/x")
    with pytest.raises(UsageError, match="there is no"):
        parse_volume(".data:/x")


def test_a_new_volume_begins_as_the_image(tmp_path: Path) -> None:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    data = root / "srv/data"
    (data / "deep").mkdir(parents=True)
    (data / "deep/file").write_text("of the image")
    (data / "link").symlink_to("/etc/passwd")
    data.chmod(0o750)
    scratch.mkdir()
    tree = Tree()
    for path in ("srv", "srv/data"):
        tree.put(path, directory())
    tree.put("var", Node("link", 0o777, target="srv"))
    kept, other = tmp_path / "kept/data", tmp_path / "kept/other"
    binds = [Bind(kept, "/var/data"), Bind(other, "/none")]
    for _ in range(2):  # an empty one begins anew
        plan_volumes(scratch, [kept, other], binds, tree, None)
        make_volumes(scratch, root)
        assert (kept / "deep/file").read_text() == "of the image"
        assert (kept / "link").readlink() == Path("/etc/passwd")
        assert kept.stat().st_mode & 0o7777 == 0o750
        assert list(other.iterdir()) == []
        remove_tree(kept)
        kept.mkdir()
    (kept / "own").write_text("of the app")
    make_volumes(scratch, root)
    assert [path.name for path in kept.iterdir()] == ["own"]


def test_env_files_have_comments(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# no\n\n A=b c \nB=\n")
    assert read_env_file(tmp_path / "env") == ["A=b c", "B="]


def test_a_variable_without_a_value_has_that_of_this_host() -> None:
    outside = {"A": "host", "EMPTY": ""}.get
    given = parse_variables(["A", "B=x=y", "C=", "EMPTY", "UNSET"], outside)
    assert given == {"A": "host", "B": "x=y", "C": "", "EMPTY": ""}
    for text in ("=x", ""):
        with pytest.raises(UsageError, match="does not set a variable"):
            parse_variables([text], outside)


# --- the machine

VM = {
    "schema": 1, "kind": "container", "name": "app", "config": {**CONFIG, "StopSignal": "SIGINT"},
    "crun": "/s/crun", "pasta": "/s/pasta", "layout": "/s/layout", "writable": False,
    "ports": [80], "health": None,
}  # fmt: skip


def test_what_the_shim_is_told(tmp_path: Path) -> None:
    (tmp_path / "vm.json").write_text(json.dumps(VM))
    channels = Channels(Path("/c/console"), Path("/c/log"), Path("/c/agent"), Path("/c/qmp"))
    machine = load_machine(tmp_path, Additions(env=("SECRET=x",)))
    argv = machine.command_line([Forward("127.0.0.1", 8080, 80)], channels)
    assert argv[1:4] == ["-I", "-B", "-c"]
    told = json.loads(argv[-1])
    forward = {"address": "127.0.0.1", "host": 8080, "guest": 80, "protocol": "tcp"}
    assert told["forwards"] == [forward]
    assert told["stop_signal"] == "SIGINT"
    assert "SECRET" not in argv[-1]  # every user of this host can read it there


def test_docker_is_told_the_same(tmp_path: Path) -> None:
    (tmp_path / "vm.json").write_text(json.dumps({**VM, "layout": str(tmp_path)}))
    index = {"manifests": [{"digest": "sha256:" + "ab" * 32}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    binds = (Bind(Path("/h"), "/x", read_only=True),)
    given = Additions(("SECRET=x",), binds, runtime="docker", skopeo=Path("/skopeo"))
    machine = load_machine(tmp_path, given)
    assert isinstance(machine, DockerMachine)
    argv = machine.run_argv("n", [Forward("127.0.0.1", 8080, 80)], Path("/s"))
    assert " ".join(argv) == (
        "docker run --name n --env-file /s/env --no-healthcheck "
        "--security-opt no-new-privileges --sysctl net.ipv4.ip_unprivileged_port_start=0 "
        "--read-only --tmpfs /run --tmpfs /tmp "
        '-p 127.0.0.1:8080:80 --mount "type=bind","source=/h","target=/x","readonly" '
        '--mount "type=bind","source=/s/door","target=/run/vcr","readonly" '
        "vcr.local/app:abababababababababababababababab"
    )


def test_a_machine_takes_no_variables(tmp_path: Path) -> None:
    other = {**VM, "kind": "boot"}
    for key in ("config", "crun", "pasta", "layout", "writable"):
        del other[key]
    paths = dict.fromkeys(
        ("qemu", "qemu_data", "firmware", "kernel", "initramfs", "squashfs"), "/s"
    )
    (tmp_path / "vm.json").write_text(
        json.dumps({**other, **paths, "append": "", "memory_mib": 1, "cpus": 1})
    )
    load_machine(tmp_path, Additions(source=Path("/p")))
    with pytest.raises(UsageError, match="cannot be given to a machine"):
        load_machine(tmp_path, Additions(env=("A=b",)))


def test_pasta_opens_no_port() -> None:
    argv = pasta_argv(Path("/p"), 7, root=False)
    for flag in ("-t", "-u", "-T", "-U", "--map-host-loopback", "--map-guest-addr"):
        assert argv[argv.index(flag) + 1] == "none"
    assert "--runas" not in argv
    assert "--runas" in pasta_argv(Path("/p"), 7, root=True)


def test_the_map_of_a_user_namespace(tmp_path: Path) -> None:
    (tmp_path / "host").write_text("         0          0 4294967295\n")
    (tmp_path / "nested").write_text("0 100000 65536\n65536 1 7\n")
    assert id_map(tmp_path / "host", 1000) == "0 1000 1"
    assert id_map(tmp_path / "host", None) == "0 0 2147483648"  # crun takes all for the host's
    assert id_map(tmp_path / "nested", None) == "0 0 65536\n65536 65536 7"


# --- layers


def layout_of(where: Path, *layers: list[tuple[str, Node]]) -> Layout:
    layout = Layout(where / "layout")
    tars = []
    for number, nodes in enumerate(layers):
        tars.append(where / f"{number}.tar")
        write(tars[-1], nodes, 0)
    layout.finish([layout.add_image(tars, {}, "amd64", 0).to_json()])
    return layout


@pytest.fixture
def image(tmp_path: Path) -> Layout:
    try:
        os.setxattr(tmp_path, "user.try", b"y")
    except OSError:
        pytest.skip("needs a file system with user.* attributes, and to be allowed them")
    hard = text_file("one", 0o755)
    return layout_of(
        tmp_path,
        [
            ("bin", Node("link", 0o777, target="usr/bin")),
            ("gone", directory()),
            ("gone/file", text_file("x")),
            ("opaque", directory()),
            ("opaque/old", text_file("x")),
            ("usr", directory()),
            ("usr/bin", directory(0o555)),
            ("usr/bin/a", hard),
            ("usr/bin/b", hard),
        ],
        [
            (".wh.gone", text_file("")),
            ("bin/c", text_file("through the link")),
            ("opaque/.wh..wh..opq", text_file("")),
            ("opaque/new", text_file("y")),
        ],
    )


def test_layers_are_unpacked_once_and_merged(image: Layout, tmp_path: Path) -> None:
    own = os.geteuid() == 0
    lower, upper = unpack(image, tmp_path / "store", own=own)
    assert (lower / "usr/bin/a").stat().st_ino == (lower / "usr/bin/b").stat().st_ino
    assert (upper / "usr/bin/c").read_text() == "through the link"
    assert (upper / "usr/bin").stat().st_mode & 0o777 == 0o555
    before = (lower.stat().st_ino, upper.stat().st_ino)
    again = unpack(image, tmp_path / "store", own=own)
    assert tuple(path.stat().st_ino for path in again) == before
    merge((lower, upper), tmp_path / "root")
    found = sorted(str(p.relative_to(tmp_path / "root")) for p in (tmp_path / "root").rglob("*"))
    assert found == [
        "bin", "opaque", "opaque/new", "usr", "usr/bin", "usr/bin/a", "usr/bin/b", "usr/bin/c",
    ]  # fmt: skip
    assert (tmp_path / "root" / "bin").is_symlink()


def test_many_unpack_the_same_layers(image: Layout, tmp_path: Path) -> None:
    store, own = tmp_path / "store", os.geteuid() == 0
    start = threading.Barrier(8)

    def work() -> tuple[Path, ...]:
        start.wait()
        return unpack(image, store, own=own)

    with ThreadPoolExecutor(8) as pool:
        found = {future.result() for future in [pool.submit(work) for _ in range(8)]}
    assert len(found) == 1
    assert not list(store.glob(".new-*"))


def test_a_directory_that_refuses_is_removed_all_the_same(tmp_path: Path) -> None:
    inner = tmp_path / "tree" / "work" / "work"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    for path in (inner, inner.parent):
        path.chmod(0)
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    remove_tree(tmp_path / "tree")


def test_accounts_are_the_topmost_layers(tmp_path: Path) -> None:
    row = "app:x:{0}:{0}::/home:/bin/sh\n"
    layout = layout_of(
        tmp_path,
        [("etc", directory()), ("etc/passwd", text_file(row.format(1)))],
        [("etc", directory()), ("etc/passwd", text_file(row.format(2)))],
    )
    files = tmp_path / "state" / "machines" / "k"
    channels = Channels(files / "console", files / "log", files / "agent", files / "qmp")
    config = {**CONFIG, "User": "app"}
    data = {**VM, "config": config, "layout": str(layout.root)}
    (tmp_path / "vm.json").write_text(json.dumps(data))
    machine = load_machine(tmp_path)
    assert isinstance(machine, ContainerMachine)
    machine.prepare(channels)
    made = json.loads((channels.scratch / "bundle/config.json").read_text())
    rootless = os.geteuid() != 0
    assert made["process"]["user"]["uid"] == 2
    assert ("uidMappings" in made["linux"]) is rootless
    assert "HOME=/home" in made["process"]["env"]


def test_any_user_of_a_container_sees_its_root_and_names_whatever_the_umask(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, [("etc", directory())])
    files = tmp_path / "state" / "machines" / "k"
    channels = Channels(files / "console", files / "log", files / "agent", files / "qmp")
    (tmp_path / "vm.json").write_text(json.dumps({**VM, "layout": str(layout.root)}))
    before = os.umask(0o077)
    try:
        load_machine(tmp_path).prepare(channels)
    finally:
        os.umask(before)
    modes = {
        name: (channels.scratch / name).stat().st_mode & 0o777
        for name in ("upper", "root", "hosts", "hostname", "resolv.conf", ".")
    }
    assert modes == {
        "upper": 0o755, "root": 0o755, "hosts": 0o644, "hostname": 0o644, "resolv.conf": 0o644,
        ".": 0o700,
    }  # fmt: skip


# --- the relay


class Echo(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, word: bytes) -> None:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(word + self.rfile.read())

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def servers() -> Iterator[tuple[Echo, Echo]]:
    first, second = Echo(b"first "), Echo(b"second ")
    yield first, second
    for server in (first, second):
        server.shutdown()
        server.server_close()


def asked(port: int, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read()


def test_a_relay_leads_elsewhere_when_told(servers: tuple[Echo, Echo]) -> None:
    first, second = (
        lambda server=server: socket.create_connection(server.server_address, 5)
        for server in servers
    )
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    relay = Relay(listener, first)
    big = bytes(range(256)) * 4096
    assert asked(port, big) == b"first " + big
    with socket.create_connection(("127.0.0.1", port), 5) as old:
        old.sendall(b"begun")
        time.sleep(0.1)
        relay.connect = second
        assert asked(port, b"x") == b"second x"
        old.shutdown(socket.SHUT_WR)
        assert old.makefile("rb").read() == b"first begun"  # it stays where it was
    relay.close()
    with pytest.raises(OSError, match=r"refused|reset"):
        asked(port, b"x")


def test_a_connection_may_be_silent_for_longer_than_connecting_may_take(
    servers: tuple[Echo, Echo],
) -> None:
    listener = listen("127.0.0.1", 0)
    host, port = servers[0].server_address[:2]
    relay = Relay(listener, lambda: socket.create_connection((str(host), port), 0.2))
    with socket.create_connection(listener.getsockname(), 5) as connection:
        time.sleep(0.6)
        connection.sendall(b"late")
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read() == b"first late"
    relay.close()


@pytest.mark.parametrize("is_client_first", [False, True])
def test_a_relay_passes_a_reset_on(*, is_client_first: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as app:
        listener = listen("127.0.0.1", 0)
        relay = Relay(listener, lambda: socket.create_connection(app.getsockname(), 5))
        client = socket.create_connection(listener.getsockname(), 5)
        server = app.accept()[0]
        ends = (client, server) if is_client_first else (server, client)
        ends[1].settimeout(5)
        ends[0].sendall(b"some")
        assert ends[1].recv(4) == b"some"
        ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        ends[0].close()
        with pytest.raises(ConnectionResetError):
            ends[1].recv(1)
        ends[1].close()
        relay.close()


def test_a_relay_that_leads_nowhere_closes_at_once() -> None:
    def refuse() -> socket.socket:
        raise ConnectionRefusedError

    listener = listen("127.0.0.1", 0)
    relay = Relay(listener, refuse)
    with socket.create_connection(listener.getsockname(), 5) as connection:
        assert connection.recv(1) == b""
    relay.close()


# --- watching


def test_changes_are_collected_until_there_is_quiet() -> None:
    changes = Changes(quiet=0.2, longest=5)
    assert changes.take(0.01) == frozenset()

    def write_twice() -> None:
        changes.add(Path("a"))
        time.sleep(0.1)
        changes.add(Path("b"))

    thread = threading.Thread(target=write_twice)
    thread.start()
    assert changes.take(5) == {Path("a"), Path("b")}
    thread.join()
    assert not changes.are_there()


def test_a_file_that_never_stops_changing_is_not_waited_for() -> None:
    changes = Changes(quiet=0.2, longest=0.5)
    stop = threading.Event()

    def write_on() -> None:
        while not stop.wait(0.05):
            changes.add(Path("a"))

    thread = threading.Thread(target=write_on)
    thread.start()
    begin = time.monotonic()
    assert changes.take(5) == {Path("a")}
    assert time.monotonic() - begin < 2
    stop.set()
    thread.join()


def test_what_matters_of_a_project(tmp_path: Path) -> None:
    context = tmp_path / "src"
    context.mkdir()
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "vcr.toml").write_text('[project]\ncontext = "src"\n')
    (context / ".dockerignore").write_text("*.log\n!kept.log\n")
    filtered = Filter(load_project(tmp_path))
    for name in (
        "src/a",
        "src/kept.log",
        "Dockerfile",
        "vcr.toml",
        "vcr.lock",
        "src/.dockerignore",
    ):
        assert filtered.matters(tmp_path / name), name
    for name in ("src", "src/x.log", "other", "README.md"):
        assert not filtered.matters(tmp_path / name), name
    assert filtered.decides(tmp_path / "Dockerfile")
    assert not filtered.decides(context / "a")
    (context / ".dockerignore").write_text("[\n")
    assert filtered.matters(context / "x.log")  # the build says what is wrong with it


# --- what it prints


def test_an_app_that_opens_its_output_again_does_not_truncate_the_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    script = "echo one; echo two > /dev/stdout; echo three | tee /dev/stderr > /dev/null; exit 3"
    child, copier = spawn_into(tmp_path / "log", ["sh", "-c", script])
    assert child.wait() == 3
    copier.join(5)
    assert (tmp_path / "log").read_text() == "before\none\ntwo\nthree\n"


def test_no_limit_is_higher_than_what_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def limits(hard: int) -> list[dict[str, Any]]:
        monkeypatch.setattr("resource.getrlimit", lambda _: (7, hard))
        config = config_for(Account(0, 0), rootless=True)
        return [dict(row) for row in config["process"]["rlimits"]]

    unlimited = (1 << 64) - 1
    assert limits(-1) == [
        {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 524288},
        {"type": "RLIMIT_NPROC", "soft": unlimited, "hard": unlimited},
        {"type": "RLIMIT_CORE", "soft": unlimited, "hard": unlimited},
    ]
    assert [(row["soft"], row["hard"]) for row in limits(100)] == [(100, 100)] * 3


@pytest.mark.parametrize("way", ["10.0.2.3", "127.0.0.1"], ids=["network", "loopback alone"])
def test_what_listens_on_the_loopback_alone_is_not_reached(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(pasta, "DNS_ADDRESS", way)
    for address, is_reached in (("127.0.0.1", False), ("0.0.0.0", True)):
        with socket.socket() as listener:
            listener.bind((address, 0))
            listener.listen()
            port = listener.getsockname()[1]
            if is_reached:
                socket.create_connection((pasta.way_to(port), port), 5).close()
                continue
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((pasta.way_to(port), port), 5).close()
