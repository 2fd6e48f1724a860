package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
	"unsafe"
)

// What vcr writes, and all that is supported.
const (
	algorithm  = "sha256"
	blockSize  = 4096
	sectorSize = 512
	hashDigits = 64                        // of the root hash, and of the salt
	maxBlocks  = math.MaxInt64 / blockSize // of a file: off_t
)

// Parameters are what dm-verity is told; all of it is measured, none is read from the drive.
// vcr/sandbox/enclave.py writes them; tests/vectors/verity.json tries both.
type Parameters struct {
	Algorithm  string `json:"algorithm"`
	BlockSize  int    `json:"block_size"`
	DataBlocks uint64 `json:"data_blocks"`
	RootHash   string `json:"root_hash"`
	Salt       string `json:"salt"`
}

func readParameters(path string) (*Parameters, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the image does not say which drive is its own: %w", err)
	}
	return parseParameters(data)
}

func parseParameters(data []byte) (*Parameters, error) {
	found := &Parameters{}
	if err := readJSON(data, found); err != nil {
		return nil, fmt.Errorf("the verity parameters: %w", err)
	}
	switch {
	case !isHash(found.RootHash):
		return nil, errors.New("the verity parameters have no root hash")
	case !isHash(found.Salt):
		return nil, errors.New("the verity parameters have no salt")
	case found.Algorithm != algorithm || found.BlockSize != blockSize,
		found.DataBlocks == 0 || found.DataBlocks > maxBlocks:
		return nil, errors.New("the verity parameters are not supported")
	}
	return found, nil
}

// isHash tells whether a text is SHA-256 in the one form that vcr/formats/hashes/verity.py writes.
func isHash(text string) bool {
	return len(text) == hashDigits && strings.Trim(text, "0123456789abcdef") == ""
}

func (p *Parameters) root() []byte {
	root, _ := hex.DecodeString(p.RootHash) // parseParameters has checked it
	return root
}

// table is what dm-verity is told: docs.kernel.org/admin-guide/device-mapper/verity.html.
// The tree begins after the data and one block of superblock, which is not looked at.
func (p *Parameters) table(device string) string {
	return fmt.Sprintf("1 %s %s %d %d %d %d %s %s %s", device, device, p.BlockSize, p.BlockSize,
		p.DataBlocks, p.DataBlocks+1, p.Algorithm, p.RootHash, p.Salt)
}

// The device mapper's requests: linux/dm-ioctl.h. Each is _IOWR(0xfd, number, struct dm_ioctl).
const (
	dmControl    = "/dev/mapper/control"
	dmDevice     = "/dev/dm-0"
	dmName       = "vcr"
	dmSize       = 312 // bytes of struct dm_ioctl
	dmCreate     = 3
	dmSuspend    = 6 // and, without its flag, resume
	dmTableLoad  = 9
	dmReadOnly   = 1
	dmVersion    = 4
	dmTargetSize = 40 // bytes of struct dm_target_spec
	dmTargetType = "verity"
)

// openVerity makes a device of which every block that is read is checked first.
func openVerity(parameters *Parameters, device string) (string, error) {
	control, err := os.OpenFile(dmControl, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer control.Close()
	target := make([]byte, dmTargetSize)
	binary.NativeEndian.PutUint64(target[8:], parameters.DataBlocks*blockSize/sectorSize)
	copy(target[24:], dmTargetType)
	target = append(target, parameters.table(device)...)
	target = append(target, 0)
	for _, step := range []struct {
		number, flags uint32
		target        []byte
	}{{dmCreate, 0, nil}, {dmTableLoad, dmReadOnly, target}, {dmSuspend, dmReadOnly, nil}} {
		request := mapperRequest(step.flags, step.target)
		number := uintptr(3<<30 | dmSize<<16 | 0xfd<<8 | step.number)
		if err := ioctl(control, number, uintptr(unsafe.Pointer(&request[0]))); err != nil {
			return "", fmt.Errorf("device mapper request %d: %w", step.number, err)
		}
	}
	return dmDevice, nil
}

// mapperRequest returns a struct dm_ioctl, followed by a target if there is one.
func mapperRequest(flags uint32, target []byte) []byte {
	request := make([]byte, dmSize, dmSize+len(target)+8)
	request = append(request, target...)
	for len(request)%8 != 0 {
		request = append(request, 0)
	}
	binary.NativeEndian.PutUint32(request, dmVersion)
	binary.NativeEndian.PutUint32(request[12:], uint32(len(request)))
	binary.NativeEndian.PutUint32(request[16:], dmSize)
	if target != nil {
		binary.NativeEndian.PutUint32(request[20:], 1)
	}
	binary.NativeEndian.PutUint32(request[28:], flags)
	copy(request[48:], dmName)
	return request
}

// readWhole reads a device once: dm-verity checks what is read, so only what is read is known.
func readWhole(path string) error {
	device, err := os.Open(path)
	if err != nil {
		return err
	}
	defer device.Close()
	begin := time.Now()
	buffer, count := make([]byte, 1<<20), 0
	for {
		n, err := device.Read(buffer)
		count += n
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	took := time.Since(begin).Seconds()
	say("drive checked, %d bytes in %.2f s, %.1f MB/s", count, took, float64(count)/1e6/took)
	return nil
}
