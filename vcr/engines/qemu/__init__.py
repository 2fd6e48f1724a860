"""Machines of QEMU: booted, or continued from a sealed snapshot."""
