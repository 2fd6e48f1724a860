// Command step is /init of a build machine: it carries out one RUN of a Dockerfile.
//
// It mounts the layers below under a writable one, runs the command as the step asks,
// and sends what the command printed, how it ended and what it changed to the host, each
// over a virtio-serial port of its own. Then the machine powers off. Only Go's standard
// library is used, so that one static file is all a build machine needs.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Names of the virtio-serial ports; vcr/sandbox/build_machine.py has the other ends.
const (
	outputPort = "vcr.output" // the command's stdout and stderr
	resultPort = "vcr.result" // one Result
	layerPort  = "vcr.layer"  // tar: what the command changed
	fetchPort  = "vcr.fetch"  // requests to the outside, while locking only
)

// Directories of the machine's own file system, which the command never sees.
const (
	lowerDir = "/lower" // where the layers are mounted: 0, 1, ...
	belowDir = "/below" // all of them together, read-only
	upperDir = "/upper" // what the command writes
	rootDir  = "/root"  // what the command sees
)

// Job is what the host asks for: /job.json of the initramfs.
type Job struct {
	Epoch     int64      `json:"epoch"`  // seconds since 1970
	Layers    []mapped   `json:"layers"` // squashfs images, bottom first
	Argv      []string   `json:"argv"`
	Env       []string   `json:"env"`
	User      string     `json:"user"`
	Workdir   string     `json:"workdir"`
	Script    string     `json:"script"` // of a here-document; argv names its path
	Mounts    []Mount    `json:"mounts"`
	Network   string     `json:"network"` // none, replay or record
	Exchanges []Exchange `json:"exchanges"`
	Disk      int64      `json:"disk"` // bytes that the command may write
}

// Result is how the step went.
type Result struct {
	Exit    int      `json:"exit"`
	Signal  int      `json:"signal"`
	Error   string   `json:"error"` // why the command could not be run
	OOM     bool     `json:"oom"`   // the kernel killed something for want of memory
	Full    bool     `json:"full"`  // the disk ran full
	Refused []string `json:"refused"`
}

func main() {
	if os.Args[0] == childName {
		child()
	}
	job, err := boot()
	if err != nil {
		die(err)
	}
	if err := carryOut(job); err != nil {
		die(err)
	}
	end()
}

func carryOut(job *Job) error {
	root, err := mountRoot(job)
	if err != nil {
		return err
	}
	network, err := openNetwork(job)
	if err != nil {
		return err
	}
	result, err := runStep(job, root, network)
	if err != nil {
		return err
	}
	if err := root.leave(); err != nil {
		return err
	}
	if result.Exit == 0 && result.Signal == 0 && result.Error == "" {
		if err := sendLayer(job); err != nil {
			return err
		}
		if err := root.sendCaches(job); err != nil {
			return err
		}
	}
	port, err := openPort(resultPort)
	if err != nil {
		return err
	}
	return json.NewEncoder(port).Encode(result)
}

// boot brings up the machine and reads the job.
func boot() (*Job, error) {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := os.MkdirAll(m[1], 0o755); err != nil {
			return nil, err
		}
		if err := syscall.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return nil, fmt.Errorf("mounting %s: %w", m[1], err)
		}
	}
	// Whatever runs out of memory, it is not this.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0); err != nil {
		return nil, err
	}
	// A step that wants more memory than there is is ended, and does not go on reading its
	// own programs back in for hours: "Thrashing prevention" of
	// https://docs.kernel.org/admin-guide/mm/multigen_lru.html. Older kernels have it not.
	for _, setting := range [][2]string{{"enabled", "y"}, {"min_ttl_ms", "1000"}} {
		_ = os.WriteFile("/sys/kernel/mm/lru_gen/"+setting[0], []byte(setting[1]), 0)
	}
	if err := loadModules("/modules"); err != nil {
		return nil, err
	}
	data, err := os.ReadFile("/job.json")
	if err != nil {
		return nil, err
	}
	job := &Job{}
	if err := json.Unmarshal(data, job); err != nil {
		return nil, fmt.Errorf("job.json: %w", err)
	}
	now := syscall.NsecToTimeval(job.Epoch * int64(time.Second))
	if err := syscall.Settimeofday(&now); err != nil {
		return nil, fmt.Errorf("setting the clock: %w", err)
	}
	return job, nil
}

func die(err error) {
	fmt.Printf("vcr: FATAL %v\n", err) // stdout of /init is the console
	end()
}

// end resets the machine, which QEMU takes for its end: not every board can be powered off.
func end() {
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	select {}
}
