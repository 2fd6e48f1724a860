"""Builder of what [base.NAME] of vcr.toml adds to its packages, as one `layer.tar`.

Links come first, so that a file may have a path that leads through one. Whatever a package has
at the path of a file or a link is replaced, but for a directory. A user gets what useradd(8)
makes: rows in passwd(5) and group(5), in shadow(5) and gshadow(5) where those are, and a home.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from vcr.formats.failure import Failure, guarded
from vcr.formats.job import read_job
from vcr.formats.tar import LAYER_FILE, apply_layer, write
from vcr.formats.tree import Content, Node, Tree, directory, text_file

FIRST_WITH_HOME = 1000  # Debian policy 9.2.2: users below are of the system


@dataclass(frozen=True)
class Job:
    """What nix/stages/image.nix gives."""

    files: dict[str, str]  # path → text
    links: dict[str, str]  # path → target
    users: dict[str, int]  # name → number
    lower: tuple[Path, ...]  # tar files of the layers below, bottom first
    epoch: int


def main(specification: str, out: str) -> None:
    """Build the layer that the JSON file SPECIFICATION describes into directory OUT."""
    guarded(lambda: _build(read_job(Job, specification), Path(out)))


def _build(job: Job, out: Path) -> None:
    tree = Tree()
    for layer in job.lower:
        apply_layer(tree, layer)
    additions = Additions(tree)
    for path, target in sorted(job.links.items()):
        additions.put(tree.locate(path.strip("/")), Node("link", 0o777, target=target), path)
    for path, text in sorted(job.files.items()):
        mode = 0o755 if text.startswith("#!") else 0o644
        additions.put(tree.resolve(path.strip("/")), text_file(text, mode), path)
    for name, number in sorted(job.users.items()):
        additions.add_user(name, number)
    out.mkdir(parents=True, exist_ok=True)
    changes = [(path, node) for path, node in tree.walk() if path in additions.written]
    write(out / LAYER_FILE, changes, job.epoch)


@dataclass
class Additions:
    """What is added to TREE; `written` collects the paths that make the layer."""

    tree: Tree
    written: set[str] = field(default_factory=set)

    def put(self, where: str, node: Node, path: str) -> None:
        """Put NODE at WHERE, which is where PATH of vcr.toml leads."""
        old = self.tree.get(where)
        if old is not None and old.kind == "dir":
            raise Failure(
                f"[base] has {path}, which is a directory in its packages",
                fix="name a file in it, or another path",
            )
        if where in self.written:
            raise Failure(
                f"[base] has /{where} twice",
                why=f"{path} is the same, by way of links",
                fix="leave one of them out",
            )
        self.written.update(self.tree.put(where, node))

    def add_user(self, name: str, number: int) -> None:
        """Add the user NAME and the group NAME, both with NUMBER; raises Failure."""
        has_home = number >= FIRST_WITH_HOME
        home = f"/home/{name}" if has_home else "/nonexistent"
        shell = "/bin/sh" if has_home else "/usr/sbin/nologin"
        if not self._add_row("etc/passwd", f"{name}:x:{number}:{number}::{home}:{shell}"):
            return
        self._add_row("etc/group", f"{name}:x:{number}:")
        for file, row in (("etc/shadow", f"{name}:!:::::::"), ("etc/gshadow", f"{name}:!::")):
            if file in self.tree:
                self._append(file, row)
        where = self.tree.resolve(home.strip("/"))
        if has_home and where not in self.tree:
            self.written.update(self.tree.put(where, directory(0o755, number, number)))

    def _add_row(self, file: str, row: str) -> bool:
        """Add ROW to FILE; return whether it was not there yet, raise Failure for another one."""
        name, _, number, *_ = row.split(":")
        for line in self._text(file).splitlines():
            old, _, its, *_ = [*line.split(":"), "", "", ""]
            if (old, its) == (name, number):
                return False
            if name == old or number == its:
                raise Failure(
                    f"[base] cannot have the user {name} with the number {number}",
                    why=f"/{file} of its packages has {old}, {its}",
                    fix=f"leave {name} out" if name == old else "choose another number",
                )
        self._append(file, row)
        return True

    def _append(self, file: str, row: str) -> None:
        node = self.tree.get(self.tree.resolve(file)) or text_file("")
        text = f"{self._text(file)}{row}\n".encode("utf-8", "surrogateescape")
        where = self.tree.resolve(file)
        self.written.update(self.tree.put(where, replace(node, content=Content.of_bytes(text))))

    def _text(self, file: str) -> str:
        """Return the text of FILE, "" when it is not there; it ends with its last line."""
        node = self.tree.get(self.tree.resolve(file))
        if node is None or node.kind != "file":
            return ""
        text = node.content.read().decode("utf-8", "surrogateescape")
        return text if not text or text.endswith("\n") else f"{text}\n"
