"""Alternatives of a base are those that update-alternatives would set, and no script is run.

A real shell carries the same scripts out here, with a program of the test in the place of
update-alternatives: what it is called with has to be what is read from the text.
"""

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcr.formats.debian.alternatives import Postinst, put_alternatives
from vcr.formats.debian.condition import System
from vcr.formats.debian.defaults import put_defaults
from vcr.formats.debian.parser import parse
from vcr.formats.debian.script import Script
from vcr.formats.debian.syntax import UnreadableError
from vcr.formats.tree import Node, Tree, directory, text_file

# Each as a package of Debian has it: gcc, less, mawk, php8.4-cli, openjdk, xz-utils, procps,
# debianutils, ksh, lua, ucf; and what is hard to read.
SCRIPTS = {
    "comment after a continuation": """
update-alternatives --quiet \\
    --install /usr/bin/cc cc /usr/bin/gcc 20 \\
    #--slave /usr/share/man/man1/cc.1.gz cc.1.gz /usr/share/man/man1/gcc.1.gz

update-alternatives --install /usr/bin/c99 c99 /usr/bin/c99-gcc 20
""",
    "case": """
case "$1" in
  configure|abort-upgrade)
    update-alternatives --quiet --install /usr/bin/pager pager /usr/bin/less 77 ;;
  (remove) update-alternatives --remove pager /usr/bin/less
  ;;
  *) echo "unknown argument \\`$1'" >&2; exit 1
esac
""",
    "condition": """
if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ]; then
        update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\
            --slave /usr/bin/nawk nawk /usr/bin/mawk
fi
if [ -n "$2" ] && [ "$1" = configure ]; then update-alternatives --remove awk /x; fi
if test -z "$2" -a "$1" != remove
then update-alternatives --install /a a /b 1
elif true; then update-alternatives --install /c c /d 1
else update-alternatives --install /e e /f 1
fi
""",
    "loop": """
for binary in php phar phar.phar; do
    update-alternatives --install /usr/bin/${binary} ${binary} /usr/bin/${binary}8.4 84 \\
        --slave /usr/share/man/man1/${binary}.1.gz ${binary}.1.gz /m/${binary}8.4.1.gz
done
""",
    "variables": """
priority=2111 basedir=/usr/lib/jvm/java-21
tools='java keytool'
for i in $tools; do
    unset slave || true
    if [ $i = java ]; then slave="--slave \\
        /usr/share/man/man1/$i.1.gz  $i.1.gz
        $basedir/man/$i.1.gz"; fi
    update-alternatives --install "/usr/bin/$i" $i $basedir/bin/$i $priority $slave
done
""",
    "output of a function": """
slave () {
    dir=$1 filename=$2 target=$3
    echo "--slave $dir/$filename $filename $dir/$target"
}
update-alternatives --install /usr/bin/lzma lzma /usr/bin/xz 20 $(
    slave /usr/bin unlzma unxz
    for util in cat more; do slave /usr/bin lz$util xz$util; done
)
""",
    "function with arguments": """
alternative() {
  if [ "$#" -lt 2 ]; then return 0; fi
  NAME="$1"; shift
  update-alternatives --install "/usr/bin/$NAME" "$NAME" "$1/$NAME.procps" 50
}
alternative only
alternative kill /usr/bin
alternative ps "/b i n"
""",
    "parameters": """
VERSION=${package##*-} NAME=${package%%-*} X=${unknown:-default} Y=${package:+set}
unset gone
package=lua-tool-5.4
VERSION=${package##*-} NAME=${package%%-*} SHORT=${package#*-} LESS=${package%-*}
update-alternatives --install /$VERSION $NAME $SHORT $LESS${gone:-}
""",
    "here-document": """
cat <<EOF >/dev/null
update-alternatives --install /no no /no 1
EOF
update-alternatives --install /yes yes /yes 1
""",
    "leaving": """
for x in a b c; do
  case $x in a) continue;; c) break;; esac
  update-alternatives --install /$x $x /$x 1
done
( exit 0 )
update-alternatives --install /d d /d 1
exit 0
update-alternatives --install /e e /e 1
""",
    "quotes": """
a="x  y" b='$a'
update-alternatives --install "$a" '$b' $b"$a"z \\$a \\
  "quo\\"ted"
""",
    "chains": """
false || update-alternatives --install /a a /a 1
true && ! false && update-alternatives --install /b b /b 1
false && update-alternatives --install /c c /c 1 || true
{ update-alternatives --install /d d /d 1; } >/dev/null 2>&1
[ $(expr 1 + 1) = 2 ] || true
x=`echo one`; update-alternatives --install /$x $x /$x 1
""",
    "arguments": """
set -- one "two three"
for each; do update-alternatives --install "$each" a b 1; done
update-alternatives --install "$@" $# 1
""",
}


def carried_out(script: str, directory: Path) -> list[list[str]]:
    """Return what a real shell calls update-alternatives with in SCRIPT."""
    program, record = directory / "update-alternatives", directory / "record"
    program.write_text(f'#!/bin/sh\nprintf "%s\\\\n" "$@" END >> {record}\n')
    program.chmod(0o755)
    (directory / "postinst").write_text(f"set -e\n{script}")
    shell = shutil.which("dash") or shutil.which("sh")
    assert shell
    subprocess.run(
        [shell, directory / "postinst", "configure", ""],
        env={"PATH": f"{directory}:{os.environ['PATH']}", "package": "start"},
        check=True,
        capture_output=True,
    )
    calls = record.read_text().removesuffix("END\n").split("END\n")
    return [call.splitlines() for call in calls]


def read(script: str, tree: Tree | None = None) -> list[tuple[list[str | None], bool]]:
    calls: list[tuple[list[str | None], bool]] = []
    known: dict[str, str | None] = {"package": "start"}
    follower = Script(System(tree or Tree(), "riscv64"), known, lambda *call: calls.append(call))
    follower.follow(script)
    return calls


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_read_as_a_shell_carries_it_out(name: str, tmp_path: Path) -> None:
    calls = read(SCRIPTS[name])
    assert [words for words, _ in calls] == carried_out(SCRIPTS[name], tmp_path)
    assert all(certain for _, certain in calls)


@pytest.mark.parametrize(
    "script",
    [
        "if ghc --info | grep -q yes; then update-alternatives --install /a a /b 1; fi",
        "ghc --info || update-alternatives --install /a a /b 1",
        "[ -e /etc/made-by-somebody ] && update-alternatives --install /a a /b 1",
        "update-alternatives --install /a a /b $(ghc --priority)",
        "for x in /etc/*; do update-alternatives --install /a a /b 1; done",
        'db_get a/b; if [ "$RET" = true ]; then update-alternatives --install /a a /b 1; fi',
        "while read x; do update-alternatives --install /a a /b 1; done",
        "case $(id -u) in 0) update-alternatives --install /a a /b 1;; esac",
        "if something; then exit 0; fi; update-alternatives --install /a a /b 1",
        "if something; then x=1; else x=2; fi; update-alternatives --install /a a /b $x",
        "read x; update-alternatives --install /a a /b $x",
        'eval "update-alternatives --install /a a /b $((1 + 1))"',
    ],
)  # fmt: skip
def test_what_another_program_decides_is_said_and_not_guessed(script: str) -> None:
    tree = tree_of("b")
    notes = put_alternatives(tree, "riscv64", [Postinst("some", "riscv64", script)])
    assert [note.partition(":")[0] for note in notes] == ["some"]
    assert "a" not in tree


def test_a_failure_that_is_possible_is_not_what_happens() -> None:
    """There is no base at all where a package cannot be configured."""
    script = "if ! mountpoint -q /proc; then exit 1; fi\nupdate-alternatives --install /a a /b 1"
    assert read(script) == [(["--install", "/a", "a", "/b", "1"], True)]


@pytest.mark.parametrize(
    "script", ["if", "case x in", "f() {", "'", '"$(', "a)", "for x", "`", ")"]
)
def test_a_script_that_is_not_understood_is_said(script: str) -> None:
    with pytest.raises(UnreadableError):
        parse(f"{script}\n")
    text = f"update-alternatives --install /a a /b 1\n{script}"
    notes = put_alternatives(tree_of("b"), "riscv64", [Postinst("some", "all", text)])
    assert "its script is not understood: line " in "".join(notes)
    assert put_alternatives(Tree(), "riscv64", [Postinst("other", "all", script)]) == []


def test_scripts_without_end_end() -> None:
    endless = "f() { f; f; }\nf\nupdate-alternatives --list x"
    nested = "$(" * 5000
    loops = "for a in " + "x " * 300 + "; do for b in " + "x " * 300 + "; do :; done; done"
    for text in (
        endless,
        loops + "\nupdate-alternatives --list x",
        f"update-alternatives {nested}",
    ):
        assert put_alternatives(Tree(), "riscv64", [Postinst("some", "all", text)])


@pytest.mark.parametrize(
    "text",
    [
        "! " * 5000 + "true",
        "f() " * 5000 + "{ :; }",
        'x=y; : "' + "${x:-" * 5000 + "}" * 5000 + '"',
        "f() { " + "if true; then " * 30 + "f; " + "fi; " * 30 + "}\nf",
        "test " + "! " * 5000 + "x",
        "x=aaaaaaaa\n" + 'x="$x$x$x$x"\n' * 50,
        "set -- a b\n" + 'set -- "$@" "$@"\n' * 50,
        "x=" + "a" * 300_000 + "\n: ${x%b*}",
        "x=" + "a" * 300_000 + "\ncase $x in " + "*b" * 400 + ") ;; esac",
        "f() { : " + "x " * 50_000 + "; f; }\nf",
        "f() { for x in " + "x " * 50_000 + "; do done; }\nf; f",
        "x=" * 2 + " y=".join(map(str, range(100))) + "\n" + "f() { $(:); f; }\nf",
    ],
)
def test_scripts_take_little_time_and_memory(text: str) -> None:
    text += "\nupdate-alternatives --list x"
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    notes = put_alternatives(Tree(), "riscv64", [Postinst("some", "all", text)])
    assert "its script is not understood" in "".join(notes)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20, "KiB"
    assert time.process_time() - begun < 60


def test_documents_and_long_words_are_read_in_one_go() -> None:
    begun = time.process_time()
    parse("cat <<E\n" + "x\n" * 200_000 + "E\n: " + "y" * 200_000 + "\n")
    assert time.process_time() - begun < 20


def test_what_a_shell_of_its_own_sets_is_its_own() -> None:
    script = """
x=a
y=$(x=b; set -- c; echo done)
(x=d; set -- e f)
update-alternatives --install /$x $x /b "$#"
"""
    assert read(script) == [(["--install", "/a", "a", "/b", "2"], True)]


WORDS = (
    "if", "then", "fi", "for x in a b", "do", "done", "case $x in", "a)", ";;", "esac", "{", "}",
    "(", ")", "&&", "||", "!", ";", "\n", "$(", "`", "'", '"', "x=", "$x", "${x%a}", "<<E", "exit",
    "update-alternatives", "--install", "/a", "1", "#", "\\", "f()", "[", "]", " ", "*", '"$@"',
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join) | st.text(max_size=80))
def test_whatever_a_script_is_it_is_read_or_refused(script: str) -> None:
    put_alternatives(tree_of("b"), "riscv64", [Postinst("some", "all", script)])


def tree_of(*paths: str) -> Tree:
    tree = Tree()
    for path in paths:
        tree.put(path, text_file(path))
    return tree


def installed(tree: Tree, *calls: str, arch: str = "riscv64") -> list[str]:
    """Set in TREE what packages, called p0 and so on, have: one call each."""
    scripts = [
        Postinst(f"p{number}", arch, f"update-alternatives {call}")
        for number, call in enumerate(calls)
    ]
    return put_alternatives(tree, arch, scripts)


def target(tree: Tree, path: str) -> str:
    node = tree.get(path)
    return node.target if node else ""


@pytest.mark.parametrize(
    "call",
    [
        "--remove",
        "--remove-all",
        "--install /a ../../../etc/passwd /b 1",
        "--install /a .. /b 1",
        "--install /a 'x y' /b 1",
        "--install /a '' /b 1",
        "--install /usr/bin/.. a /b 1",
        "--install /usr/../../x a /b 1",
        "--install x a /b 1",
        "--install /a a b 1",
        "--install '/a\n/x' a /b 1",
        "--install /a a /b 1 --slave /c ../c /b",
        "--install /a a /b 1 --slave c c /b",
        "--install /a a /b high",
    ],
)
def test_what_update_alternatives_refuses_is_not_done(call: str) -> None:
    tree = tree_of("b", "usr/bin/x")
    before = dict(tree.nodes)
    assert installed(tree, call) == ["p0: a call of update-alternatives is not understood"]
    assert tree.nodes == before


def test_there_is_an_end_of_notes() -> None:
    calls = "\n".join(f"x=$(y) update-alternatives --install /a a{n} $z 1" for n in range(300))
    notes = put_alternatives(Tree(), "riscv64", [Postinst("some", "all", calls)])
    assert len(notes) == 101
    assert notes[-1] == "and 200 more that are left open"


EDITORS = ("usr/bin/ed", "usr/bin/nano", "usr/bin/vim")


def test_the_choice_with_the_highest_priority_wins() -> None:
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        tree = tree_of(*EDITORS)
        lines = [
            f"--install /usr/bin/editor editor /{path} {priority}"
            for path, priority in zip(EDITORS, (-100, 40, 30), strict=True)
        ]
        assert installed(tree, *(lines[number] for number in order)) == []
        assert target(tree, "usr/bin/editor") == "/etc/alternatives/editor"
        assert target(tree, "etc/alternatives/editor") == "/usr/bin/nano"


def test_of_equal_priority_the_first_package_wins() -> None:
    tree = tree_of("usr/bin/x1", "usr/bin/x2")
    installed(tree, "--install /x x /usr/bin/x2 10", "--install /x x /usr/bin/x1 10")
    assert target(tree, "etc/alternatives/x") == "/usr/bin/x2"


def test_links_go_along_with_the_choice_when_their_files_are_there() -> None:
    tree = tree_of("usr/bin/x2", "usr/bin/s2", "usr/bin/x1", "usr/bin/m1")
    slaves = "--slave /bin/zz zz /usr/bin/s2 --slave /bin/aa aa /none"
    installed(
        tree,
        f"--install /bin/x x /usr/bin/x2 5 {slaves}",
        "--install /bin/x x /usr/bin/x1 10 --slave /bin/mm mm /usr/bin/m1",
    )
    assert target(tree, "etc/alternatives/mm") == "/usr/bin/m1"
    assert {p for p in tree.nodes if p.startswith("bin/")} == {"bin/x", "bin/mm"}
    record = tree.nodes["var/lib/dpkg/alternatives/x"].content.read().decode()
    # As update-alternatives of dpkg 1.21 writes it after the same two calls.
    assert record == (
        "auto\n/bin/x\naa\n/bin/aa\nmm\n/bin/mm\nzz\n/bin/zz\n\n"
        "/usr/bin/x1\n10\n\n/usr/bin/m1\n\n"
        "/usr/bin/x2\n5\n/none\n\n/usr/bin/s2\n\n"
    )


def test_what_is_not_there_is_no_choice_and_a_file_is_not_replaced() -> None:
    tree = tree_of("usr/bin/real", "usr/bin/file")
    installed(
        tree, "--install /usr/bin/a a /usr/bin/none 1", "--install /usr/bin/file f /usr/bin/real 1"
    )
    assert "usr/bin/a" not in tree
    assert tree.nodes["usr/bin/file"].kind == "file"


def test_a_choice_may_be_the_link_of_another_package() -> None:
    tree = tree_of("usr/bin/emacs-nox")
    installed(
        tree,
        "--install /usr/bin/editor editor /usr/bin/emacs 0",
        "--install /usr/bin/emacs emacs /usr/bin/emacs-nox 28",
    )
    assert tree.resolve("usr/bin/editor") == "usr/bin/emacs-nox"


def test_a_choice_that_is_removed_is_none() -> None:
    tree = tree_of("usr/bin/a", "usr/bin/b")
    call = "--install /usr/bin/x x /usr/bin/a 1\nupdate-alternatives --remove x /usr/bin/a"
    installed(tree, call)
    assert "usr/bin/x" not in tree
    assert not tree.below("var/lib/dpkg/alternatives")


def test_the_architecture_is_what_dpkg_would_say() -> None:
    script = """--list x
if [ "$DPKG_MAINTSCRIPT_ARCH" = "$(dpkg --print-architecture)" ]; then
  update-alternatives --install /x x /usr/bin/$(dpkg --print-architecture) 1
fi"""
    tree = tree_of("usr/bin/arm64")
    installed(tree, script, arch="arm64")
    assert target(tree, "etc/alternatives/x") == "/usr/bin/arm64"


def test_a_file_that_a_script_reads_is_read_too() -> None:
    tree = tree_of("usr/bin/x")
    text = "more() { update-alternatives --install /x x /usr/bin/$1 1; }\n"
    tree.put("usr/share/some/functions", text_file(text))
    script = ". /usr/share/some/functions\nmore x\n. /usr/share/debconf/confmodule\n"
    assert put_alternatives(tree, "amd64", [Postinst("some", "all", script)]) == []
    assert target(tree, "etc/alternatives/x") == "/usr/bin/x"


def test_defaults_are_those_of_base_files() -> None:
    tree = tree_of(
        "usr/lib/os-release", "usr/share/base-files/profile", "usr/share/base-files/dot.bashrc",
        "usr/share/libc-bin/nsswitch.conf", "etc/dpkg/origins/debian", "usr/bin/x",
    )  # fmt: skip
    for path in ("var/run", "var/lock"):
        tree.put(path, directory())
    put_defaults(tree)
    assert tree.resolve("etc/os-release") == "usr/lib/os-release"
    assert tree.resolve("var/run") == "run"
    assert tree.resolve("var/lock") == "run/lock"
    assert {"etc/profile", "root/.bashrc", "etc/nsswitch.conf", "usr/local/bin", "srv"} <= set(
        tree.nodes
    )
    bare = tree_of("usr/bin/x")
    before = set(bare.nodes)
    put_defaults(bare)
    assert set(bare.nodes) == before


def test_defaults_replace_nothing() -> None:
    tree = tree_of("usr/lib/os-release", "usr/share/base-files/profile", "etc/profile", "var/run/x")
    tree.put("etc/os-release", Node("link", 0o777, target="/else"))
    put_defaults(tree)
    assert target(tree, "etc/os-release") == "/else"
    assert tree.nodes["etc/profile"].content.read() == b"etc/profile"
    assert tree.nodes["var/run"].kind == "dir"
