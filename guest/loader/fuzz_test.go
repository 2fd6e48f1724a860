package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// FuzzCBOR: whatever the security module answers is a value of no more than its bytes, or an error.
func FuzzCBOR(f *testing.F) {
	for _, text := range []string{"00", "1b000000e8d4a51000", "3863", "4401020304", "6449455446", "83010203", "f6",
		"a26161016162820203", "c11a514b67b0", "9b7fffffffffffffff", strings.Repeat("81", 64) + "00"} {
		data, _ := hex.DecodeString(text)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		value, err := decode(data)
		if err == nil && weight(value) > len(data) {
			t.Errorf("%x has %d values", data, weight(value))
		}
		_, _ = timestamp(data)
	})
}

// weight counts values.
func weight(value any) int {
	count := 1
	switch value := value.(type) {
	case []any:
		for _, each := range value {
			count += weight(each)
		}
	case map[any]any:
		for key, each := range value {
			count += weight(key) + weight(each)
		}
	}
	return count
}

// FuzzParameters: parameters that are taken make a table of ten words.
func FuzzParameters(f *testing.F) {
	good := `{"algorithm":"sha256","block_size":4096,"data_blocks":7,"root_hash":"` + strings.Repeat("ab", 32) +
		`","salt":"` + strings.Repeat("cd", 32) + `"}`
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, "{", `{"hash_offset":1,`, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		parameters, err := parseParameters(data)
		if err != nil {
			return
		}
		if words := strings.Fields(parameters.table(nbdDevice)); len(words) != 10 || len(parameters.root()) != 32 {
			t.Errorf("%q", words)
		}
	})
}

// FuzzMachine: what a snapshot says of itself changes no word of the argv but its own.
func FuzzMachine(f *testing.F) {
	f.Add([]byte(`{"memory_mib": 184, "epoch": 1700000000, "ports": [80], "more": 1}`))
	f.Add([]byte(`{"memory_mib": -1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		made, err := readDescription(data)
		if err != nil {
			return
		}
		argv := made.fillIn([]string{"qemu", "-m", "{memory}M", "-rtc", "base={clock}"})
		if len(argv) != 5 || argv[0] != "qemu" || strings.ContainsAny(argv[2]+argv[4], " ,{") {
			t.Errorf("%q", argv)
		}
	})
}

// FuzzLine: a command line that is taken is the image's, and devices.
func FuzzLine(f *testing.F) {
	f.Add(" virtio_mmio.device=4K@0xd0000000:5\n")
	f.Add(" virtio_mmio.device=4K@0xd0000000:5 init=/x")
	f.Fuzz(func(t *testing.T, added string) {
		if checkLine("quiet"+added, "quiet") != nil {
			return
		}
		for _, word := range strings.Fields(added) {
			if !strings.HasPrefix(word, "virtio_mmio.device=") {
				t.Errorf("%q is taken", added)
			}
		}
	})
}

// FuzzControl: a line of the parent, or of the app's door, is answered by one line; there is no
// security module here to ask, so each is an error.
func FuzzControl(f *testing.F) {
	f.Add([]byte(`{"attest":{"user_data":"eA==","nonce":"eA=="}}`))
	f.Add([]byte(`{"attest":{"public_key":"eA=="}}`))
	f.Add([]byte(`{"id":1,"user_data":"eA=="}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		if bytes.Contains(line, []byte("health")) {
			return // asks a machine
		}
		module := &nsm{parent: null}
		if answer := control(module, nil, line); answer.Error == "" {
			t.Errorf("%s: %v", line, answer)
		}
		if answer := doorAnswer(module, line); answer.Error == "" {
			t.Errorf("%s: %v", line, answer)
		}
	})
}

// peer answers whatever it is sent with what it is to say.
type peer struct {
	io.Reader
}

func (peer) Write(data []byte) (int, error) { return len(data), nil }

// FuzzNBD: an export has a size in whole blocks, or there is none.
func FuzzNBD(f *testing.F) {
	greeting := []byte("NBDMAGICIHAVEOPT\x00\x03")
	info := append(binary.BigEndian.AppendUint64([]byte{0, 0}, 8192), 0, 3)
	f.Add(append(append(append([]byte{}, greeting...), reply(nbdReplyInfo, info)...), reply(nbdReplyAck, nil)...))
	f.Add(append(append([]byte{}, greeting...), reply(nbdReplyError|6, []byte("no"))...))
	f.Fuzz(func(t *testing.T, data []byte) {
		size, err := negotiate(peer{bytes.NewReader(data)})
		if err == nil && (size == 0 || size%blockSize != 0) {
			t.Errorf("%d bytes", size)
		}
	})
}

// machineSaying is a machine that sends what it has, and takes everything.
type machineSaying struct{ io.Reader }

func (machineSaying) Write(data []byte) (int, error) { return len(data), nil }
func (machineSaying) Close() error                   { return nil }

// FuzzRelay: whatever the machine sends, with a connection of the parent there, it comes to an end.
func FuzzRelay(f *testing.F) {
	begin := frame{0, frameHello, append([]byte("the word is word"), 0, 0, 0, 4, 0, 0, 64, 0)}.encode()
	for _, each := range []frame{
		{1, frameData, []byte("x")}, {1, frameEnd, nil}, {1, frameReset, nil},
		{1, frameCredit, []byte{255, 255, 255, 255}}, {1, frameDatagram, nil},
	} {
		f.Add(append(append([]byte(nil), begin...), each.encode()...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newRelay(machineSaying{bytes.NewReader(data)})
		ours, theirs := ends(t)
		carried := make(chan struct{})
		go func() {
			defer close(carried)
			if r.await(time.Millisecond) == nil {
				r.carry(theirs, 7)
			}
		}()
		if err := r.run(); err == nil {
			t.Error("it ends without a reason")
		}
		ours.Close()
		<-carried
	})
}
