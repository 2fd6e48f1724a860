"""How much was built again before something was called the same."""

import enum


@enum.unique
class Rebuilt(enum.StrEnum):
    """The field `rebuilt` of a rebuild statement has these words, but for NOTHING."""

    NOTHING = "nothing"  # what the store and its caches have was taken as it is
    PROJECT = "project"  # layers, roots and machines; of the rest, what others have built
    TOOLCHAIN = "toolchain"  # all that no hash closes
