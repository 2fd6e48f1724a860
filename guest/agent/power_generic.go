//go:build !amd64

package main

import "syscall"

const powerOffCommand = syscall.LINUX_REBOOT_CMD_POWER_OFF
