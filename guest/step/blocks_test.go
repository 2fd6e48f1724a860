package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// inFiles returns windows on pieces of given sizes, each in a file of its own, and what they hold.
func inFiles(t *testing.T, sizes ...int64) (*windows, []byte) {
	t.Helper()
	w := &windows{open: map[int64][]byte{}}
	var whole []byte
	for i, size := range sizes {
		data := make([]byte, size)
		for k := range data {
			data[k] = byte(k*7 + k>>12 + i)
		}
		// What is before a piece in memory is not part of it.
		address := int64(i * nbdBlock)
		path := filepath.Join(t.TempDir(), "memory")
		if err := os.WriteFile(path, append(make([]byte, address), data...), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		w.mapped = append(w.mapped, piece{Address: address, Size: size})
		w.files = append(w.files, file)
		whole = append(whole, data...)
	}
	return w, whole
}

func request(t *testing.T, socket int, kind uint16, offset, size int64) {
	t.Helper()
	message := binary.BigEndian.AppendUint32(nil, nbdRequestMagic)
	message = binary.BigEndian.AppendUint16(message, 0)
	message = binary.BigEndian.AppendUint16(message, kind)
	message = append(message, "a cookie"...)
	message = binary.BigEndian.AppendUint64(message, uint64(offset))
	message = binary.BigEndian.AppendUint32(message, uint32(size))
	if err := writeFull(socket, message); err != nil {
		t.Fatal(err)
	}
}

func served(t *testing.T, w *windows) (int, chan error) {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(pair[0]); syscall.Close(pair[1]) })
	ended := make(chan error, 1)
	go func() { ended <- serve(pair[1], w) }()
	return pair[0], ended
}

func TestABlockDeviceHasTheBytesOfAllPieces(t *testing.T) {
	w, whole := inFiles(t, 2*windowSize+nbdBlock, nbdBlock, 3*nbdBlock)
	socket, ended := served(t, w)
	for _, part := range [][2]int64{
		{0, 512}, {nbdBlock, 1 << 17}, {windowSize - 512, 1024}, {windowSize - 1, 2},
		{2*windowSize + nbdBlock - 512, 2 * nbdBlock}, {int64(len(whole)) - 4096, 4096}, {0, 512},
		{0, int64(len(whole))},
	} {
		request(t, socket, nbdRead, part[0], part[1])
		reply := make([]byte, nbdReplySize+part[1])
		if err := readFull(socket, reply); err != nil {
			t.Fatal(err)
		}
		head := append(binary.BigEndian.AppendUint32(nil, nbdReplyMagic), 0, 0, 0, 0)
		if !bytes.Equal(reply[:nbdReplySize], append(head, "a cookie"...)) {
			t.Errorf("%v: the head %x", part, reply[:nbdReplySize])
		}
		if !bytes.Equal(reply[nbdReplySize:], whole[part[0]:part[0]+part[1]]) {
			t.Errorf("%v: other bytes", part)
		}
	}
	request(t, socket, nbdEnd, 0, 0)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhatABlockDeviceCannotDoEndsIt(t *testing.T) {
	for name, ask := range map[string]struct {
		kind   uint16
		offset int64
	}{"a write": {1, 0}, "beyond the end": {nbdRead, nbdBlock}} {
		w, _ := inFiles(t, nbdBlock)
		socket, ended := served(t, w)
		request(t, socket, ask.kind, ask.offset, 512)
		if err := <-ended; err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAttributesOfNetlinkArePadded(t *testing.T) {
	want := []byte{8, 0, 2, 0, 'n', 'b', 'd', 0}
	if got := attribute(2, []byte("nbd\x00")); !bytes.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := attribute(1, []byte{1, 2}); len(got) != 8 || binary.NativeEndian.Uint16(got) != 6 {
		t.Errorf("%v", got)
	}
}
