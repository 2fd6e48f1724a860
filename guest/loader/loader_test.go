package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
)

// Of tests/vectors/verity.json.
type verityVectors struct {
	Taken   []struct{ Text, Table string }
	Refused []struct{ Why, Text string }
}

func TestTheTableIsMadeOfTheParametersOnly(t *testing.T) {
	var all verityVectors
	vectors(t, "verity", &all)
	for _, c := range all.Taken {
		parameters, err := parseParameters([]byte(c.Text))
		if err != nil {
			t.Fatal(err)
		}
		if got := parameters.table("/dev/nbd0"); got != c.Table {
			t.Errorf("%s, not %s", got, c.Table)
		}
	}
}

func TestOtherParametersAreRefused(t *testing.T) {
	var all verityVectors
	vectors(t, "verity", &all)
	for _, c := range all.Refused {
		if got, err := parseParameters([]byte(c.Text)); err == nil {
			t.Errorf("%s: %+v", c.Why, got)
		}
	}
	good := all.Taken[0].Text
	for _, text := range []string{
		"", "null", "[" + good, good + "{}", good + "x", strings.Replace(good, "{", `{"hash_offset":1,`, 1),
	} {
		if _, err := parseParameters([]byte(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestTheMapperIsAskedInItsForm(t *testing.T) {
	request := mapperRequest(dmReadOnly, []byte("target"))
	if len(request) != dmSize+8 || binary.NativeEndian.Uint32(request[12:]) != dmSize+8 {
		t.Errorf("%d bytes", len(request))
	}
	if !bytes.HasPrefix(request[48:], []byte("vcr\x00")) || !bytes.HasPrefix(request[dmSize:], []byte("target")) {
		t.Error("name or target are not in their places")
	}
}

// By appendix A of RFC 8949.
func TestCBORIsThatOfTheStandard(t *testing.T) {
	for text, want := range map[string]any{
		"00": uint64(0), "1818": uint64(24), "1903e8": uint64(1000), "1a000f4240": uint64(1000000),
		"1b000000e8d4a51000": uint64(1000000000000), "3863": int64(-100), "4401020304": []byte{1, 2, 3, 4},
		"6449455446": "IETF", "83010203": []any{uint64(1), uint64(2), uint64(3)}, "f6": nil,
		"a26161016162820203": map[any]any{"a": uint64(1), "b": []any{uint64(2), uint64(3)}},
		"c11a514b67b0":       uint64(1363896240),
	} {
		data, _ := hex.DecodeString(text)
		got, err := decode(data)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		switch want.(type) {
		case uint64, string, []byte:
			if text != "c11a514b67b0" && hex.EncodeToString(encode(want)) != text {
				t.Errorf("%v becomes %x", want, encode(want))
			}
		}
	}
	got := encode([]pair{{"index", uint64(16)}, {"data", []byte(nil)}})
	if hex.EncodeToString(got) != "a265696e646578106464617461f6" {
		t.Errorf("%x", got)
	}
}

// Of what the verifier (vcr/model/cbor.py) reads, too. It refuses more, above all tags and longer
// forms: a document is a stranger's there, and here its own module's.
func TestCBORIsThatOfTheVectors(t *testing.T) {
	var all struct {
		Values []struct {
			Hex   string
			Value any
		}
		Bytes   []struct{ Hex, Value string }
		Refused []string
	}
	vectors(t, "cbor", &all)
	for _, c := range all.Values {
		got, err := decode(bytesOf(t, c.Hex))
		if err != nil || fmt.Sprint(plain(got)) != fmt.Sprint(plain(c.Value)) {
			t.Errorf("%s: %v, %v", c.Hex, got, err)
		}
	}
	for _, c := range all.Bytes {
		got, err := decode(bytesOf(t, c.Hex))
		if data, ok := got.([]byte); err != nil || !ok || hex.EncodeToString(data) != c.Value {
			t.Errorf("%s: %v, %v", c.Hex, got, err)
		}
	}
	for _, text := range all.Refused {
		if value, err := decode(bytesOf(t, text)); err == nil {
			t.Errorf("%s is %v", text, value)
		}
	}
}

// plain returns a value with the types that JSON has.
func plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		return value.String()
	case uint64, int64:
		return fmt.Sprint(value)
	case []any:
		list := []any{}
		for _, each := range value {
			list = append(list, plain(each))
		}
		return list
	case map[any]any:
		named := map[string]any{}
		for key, each := range value {
			named[fmt.Sprint(key)] = plain(each)
		}
		return named
	case map[string]any:
		named := map[string]any{}
		for key, each := range value {
			named[key] = plain(each)
		}
		return named
	}
	return value
}

func TestTheTimeOfADocument(t *testing.T) {
	payload := encode([]pair{{"module_id", "i-0"}, {"timestamp", uint64(1790000000123)}})
	document := append([]byte{0x84}, encode([]byte{0xa0})...)
	document = append(append(document, 0xa0), encode(payload)...)
	document = append(document, encode([]byte("signature"))...)
	got, err := timestamp(document)
	if err != nil || got != 1790000000123 {
		t.Errorf("%d, %v", got, err)
	}
	for end := range document {
		if _, err := timestamp(document[:end]); err == nil {
			t.Errorf("%d bytes have a time", end)
		}
	}
}

func TestASnapshotsOwnWordsAreFilledIn(t *testing.T) {
	made, err := readDescription([]byte(`{"memory_mib": 184, "epoch": 1700000000, "ports": [80], "more": 1}`))
	if err != nil {
		t.Fatal(err)
	}
	got := made.fillIn([]string{"-m", "{memory}M", "base={clock},clock=vm"})
	if strings.Join(got, " ") != "-m 184M base=2023-11-14T22:13:20,clock=vm" {
		t.Errorf("%v", got)
	}
	for _, text := range []string{
		`{}`, `{"memory_mib": 184}`, `{"ports": []}`, `{"memory_mib": 1, "ports": [65536]}`,
		`{"memory_mib": 1, "ports": [-1]}`, `{"memory_mib": 1, "ports": null}`,
	} {
		if _, err := readDescription([]byte(text)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

// server plays an NBD server that says what it is told, and reads what it is sent.
func server(t *testing.T, said []byte) net.Conn {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	go func() {
		_, _ = theirs.Write(said[:18])
		_, _ = theirs.Read(make([]byte, 64))
		_, _ = theirs.Write(said[18:])
		theirs.Close()
	}()
	return ours
}

func reply(kind uint32, data []byte) []byte {
	out := binary.BigEndian.AppendUint64(nil, nbdReplyMagic)
	for _, number := range []uint32{nbdOptGo, kind, uint32(len(data))} {
		out = binary.BigEndian.AppendUint32(out, number)
	}
	return append(out, data...)
}

func TestTheExportsSizeIsAgreedOn(t *testing.T) {
	greeting := []byte("NBDMAGICIHAVEOPT\x00\x03")
	info := binary.BigEndian.AppendUint64([]byte{0, 0}, 8192)
	info = append(info, 0, 3)
	for _, c := range []struct {
		said []byte
		size uint64
	}{
		{append(append(greeting, reply(nbdReplyInfo, info)...), reply(nbdReplyAck, nil)...), 8192},
		{append(append([]byte{}, greeting...), reply(nbdReplyAck, nil)...), 0},
		{append(append([]byte{}, greeting...), reply(nbdReplyError|6, []byte("no"))...), 0},
		{append(append([]byte{}, greeting...), "garbage that is long enough"...), 0},
		{[]byte("NBDMAGICother, old"), 0},
	} {
		size, err := negotiate(server(t, c.said))
		if size != c.size || (err == nil) != (c.size > 0) {
			t.Errorf("%d, %v", size, err)
		}
	}
}
