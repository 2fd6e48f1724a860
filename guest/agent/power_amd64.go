package main

import "syscall"

// Without ACPI there is no power to switch off; QEMU ends a machine that resets itself.
const powerOffCommand = syscall.LINUX_REBOOT_CMD_RESTART
