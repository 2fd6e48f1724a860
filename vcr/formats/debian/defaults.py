"""Files that postinst scripts copy or link once, from what their packages have.

They are those of base-files, debianutils and libc-bin, as in Debian trixie: what other programs
take for granted in any installation. What is there already stays.
"""

from vcr.formats.tree import Node, Tree, directory

COPIES = {
    "usr/share/base-files/dot.bashrc": "root/.bashrc",
    "usr/share/base-files/dot.profile": "root/.profile",
    "usr/share/base-files/profile": "etc/profile",
    "usr/share/debianutils/shells": "etc/shells",
    "usr/share/libc-bin/nsswitch.conf": "etc/nsswitch.conf",
}
# What a link leads to by its text, and where the file is that it needs.
LINKS = {
    "etc/os-release": ("../usr/lib/os-release", "usr/lib/os-release"),
    "etc/dpkg/origins/default": ("debian", "etc/dpkg/origins/debian"),
}
BASE_FILES = "usr/share/base-files/profile"  # is there when base-files is
DIRECTORIES = (
    "etc/opt", "media", "mnt", "opt", "srv", "usr/local/bin", "usr/local/etc", "usr/local/games",
    "usr/local/include", "usr/local/lib", "usr/local/libexec", "usr/local/sbin",
    "usr/local/share/man", "usr/local/src", "var/opt",
)  # fmt: skip
MOVED = {"var/run": "/run", "var/lock": "/run/lock"}


def put_defaults(tree: Tree) -> None:
    """Add to TREE what these scripts would."""
    for source, path in COPIES.items():
        node = tree.get(source)
        if node is not None and path not in tree:
            tree.put(path, node.owned(0, 0))
    for path, (target, needed) in LINKS.items():
        if needed in tree and path not in tree:
            tree.put(path, Node("link", 0o777, target=target))
    if BASE_FILES in tree:
        _base_files(tree)


def _base_files(tree: Tree) -> None:
    for path in (*DIRECTORIES, "run/lock"):
        if path not in tree:
            tree.put(path, directory(0o1777 if path == "run/lock" else 0o755))
    if "usr/local/man" not in tree:
        tree.put("usr/local/man", Node("link", 0o777, target="share/man"))
    for path, target in MOVED.items():
        if not tree.below(path):
            tree.put(path, Node("link", 0o777, target=target))
