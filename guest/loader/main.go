// Command loader is the first process of an enclave. It opens the drive that the enclave
// image names, and no other, goes on from the snapshot on it, and answers for it:
//
//	parent's port 9000   heartbeat: the enclave is up (nitro-cli waits for it)
//	parent's port 9001   the Nitro Security Module, where there is no /dev/nsm
//	parent's port 10809  the drive, over NBD
//	port 9002            attestation and health: a line of JSON in, a line of JSON out
//	port 9003            the app: two bytes, one of its ports, then its bytes
//
// Ports are of vsock. The app asks for documents of its own through a port of its machine.
// Whatever goes wrong ends the enclave.
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

const (
	heartbeatPort  = 9000
	nsmPort        = 9001
	controlPort    = 9002
	appPort        = 9003
	drivePort      = 10809
	heartbeat      = 0xb7
	rootRegister   = 16
	parametersFile = "/vcr/verity.json"
	restoreFile    = "/vcr/restore.json"
	driveDir       = "/drive"
)

func main() {
	err := run()
	say("FATAL %v", err)
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	select {}
}

// run returns when the enclave is over, which is always an error.
func run() error {
	if err := mountSystem(); err != nil {
		return err
	}
	if err := beat(); err != nil {
		return err
	}
	restore, err := readRestore(restoreFile)
	if err != nil {
		return err
	}
	if err := checkOwnLine(restore.CommandLine); err != nil {
		return err
	}
	parameters, err := readParameters(parametersFile)
	if err != nil {
		return err
	}
	module, err := openNSM()
	if err != nil {
		return err
	}
	// Before anything of the drive is read: what follows speaks for this root only.
	if err := module.claim(rootRegister, parameters.root()); err != nil {
		return err
	}
	if err := openDrive(parameters); err != nil {
		return err
	}
	machine, err := startMachine(restore)
	if err != nil {
		return err
	}
	// Before it goes on, so that the app finds it open.
	if err := machine.openDoor(module); err != nil {
		return err
	}
	if err := machine.openRelay(); err != nil {
		return err
	}
	if err := machine.resume(module); err != nil {
		return err
	}
	if err := machine.relay.await(resumeTime); err != nil {
		return err
	}
	if err := serve(module, machine); err != nil {
		return err
	}
	say("serving")
	return fmt.Errorf("the machine ended: %v", <-machine.ended)
}

// openDrive attaches, checks and mounts the drive.
func openDrive(parameters *Parameters) error {
	device, err := attachDrive(drivePort)
	if err != nil {
		return fmt.Errorf("attaching the drive: %w", err)
	}
	checked, err := openVerity(parameters, device)
	if err != nil {
		return fmt.Errorf("opening the drive: %w", err)
	}
	if err := readWhole(checked); err != nil {
		return fmt.Errorf("the drive is not the one that was measured: %w", err)
	}
	if err := syscall.Mount(checked, driveDir, "squashfs", syscall.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mounting the drive: %w", err)
	}
	return nil
}

// mountSystem mounts what programs expect. No network interface is up.
func mountSystem() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"},
	} {
		// The kernel may have mounted /dev itself.
		err := syscall.Mount(m.kind, m.at, m.kind, syscall.MS_NOSUID, "")
		if err != nil && err != syscall.EBUSY {
			return fmt.Errorf("mounting %s: %w", m.at, err)
		}
	}
	return nil
}

// beat tells the parent that the enclave is up, as AWS's own init does.
func beat() error {
	parent, err := dial(heartbeatPort)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	defer parent.Close()
	answer := []byte{heartbeat}
	_ = parent.SetDeadline(time.Now().Add(patience))
	if _, err := parent.Write(answer); err != nil {
		return err
	}
	if _, err := parent.Read(answer); err != nil {
		return err
	}
	if answer[0] != heartbeat {
		return fmt.Errorf("the parent answers the heartbeat with %#x", answer[0])
	}
	return nil
}

// say prints to the console, which a parent sees only in debug mode.
func say(format string, words ...any) {
	fmt.Fprintf(os.Stderr, "vcr: "+format+"\n", words...)
}
