"""Machines of the Cartesi emulator: the driver, its frames, and a server on ports."""
