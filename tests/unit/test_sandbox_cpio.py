"""The initramfs: what does not fit into its form is refused, not written as something else."""

import pytest

from vcr.formats.cpio import cpio_bytes
from vcr.formats.failure import Failure
from vcr.formats.tree import Content, Node, Tree, text_file


def test_numbers_of_more_than_32_bits_are_refused() -> None:
    """Written with nine digits, they move all that follows: the kernel reads other files."""
    for node in (
        Node("file", 0o644, uid=1 << 32),
        Node("file", 0o644, gid=1 << 40),
        Node("file", 0o644, content=Content(1 << 32)),
    ):
        tree = Tree()
        tree.put("f", node)
        with pytest.raises(Failure, match="does not fit"):
            cpio_bytes(tree, 0)
    tree.put("f", text_file(""))
    with pytest.raises(Failure, match="does not fit"):
        cpio_bytes(tree, 1 << 32)


def test_a_file_that_would_be_the_end_is_refused() -> None:
    tree = Tree()
    tree.put("TRAILER!!!", text_file("x"))
    tree.put("later", text_file("never unpacked"))
    with pytest.raises(Failure, match="TRAILER"):
        cpio_bytes(tree, 0)
