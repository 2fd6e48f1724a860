"""How much was built again before something was called the same."""

import enum


@enum.unique
class Rebuilt(enum.StrEnum):
    """How much was built again: the words of the field `rebuilt`, but statements lack NOTHING."""

    NOTHING = "nothing"  # what the store and its caches have was taken as it is
    PROJECT = "project"  # layers, roots and machines; of the rest, what others have built
    TOOLCHAIN = "toolchain"  # everything that is not pinned by hash
