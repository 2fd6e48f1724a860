package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unsafe"
)

// The Nitro Security Module: linux/nsm.h, and for what it is asked
// https://github.com/aws/aws-nitro-enclaves-nsm-api/blob/main/src/api/mod.rs
const (
	nsmDevice      = "/dev/nsm"
	nsmRaw         = 0xc0200a00 // _IOWR(0x0A, 0, struct nsm_raw)
	nsmMaxResponse = 0x3000
	nsmTime        = 60 * time.Second // for the software in its place to answer
)

// nsm is the device or, where an enclave is emulated, the parent's software in its place.
type nsm struct {
	mutex  sync.Mutex
	device *os.File
	parent *os.File
}

func openNSM() (*nsm, error) {
	device, err := os.OpenFile(nsmDevice, os.O_RDWR, 0)
	if err == nil {
		return &nsm{device: device}, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	say("there is no %s: this enclave is emulated", nsmDevice)
	parent, err := dial(nsmPort)
	if err != nil {
		return nil, err
	}
	return &nsm{parent: parent}, nil
}

// ask sends a request, a name alone or a name with fields, and returns what is under that name.
func (n *nsm) ask(name string, fields []pair) (map[any]any, error) {
	var request any = name
	if fields != nil {
		request = []pair{{name, fields}}
	}
	response, err := n.exchange(encode(request))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	answer, err := decode(response)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if answer == name { // nothing to say but that it was done
		return nil, nil
	}
	named, _ := answer.(map[any]any)
	found, ok := named[name].(map[any]any)
	if !ok {
		return nil, fmt.Errorf("%s: the security module answers %v", name, named["Error"])
	}
	return found, nil
}

func (n *nsm) exchange(request []byte) ([]byte, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	response := make([]byte, nsmMaxResponse)
	if n.device != nil {
		// struct nsm_raw
		raw := struct {
			request        unsafe.Pointer
			requestLength  uint64
			response       unsafe.Pointer
			responseLength uint64
		}{unsafe.Pointer(&request[0]), uint64(len(request)), unsafe.Pointer(&response[0]), nsmMaxResponse}
		if err := ioctl(n.device, nsmRaw, uintptr(unsafe.Pointer(&raw))); err != nil {
			return nil, err
		}
		return response[:min(raw.responseLength, nsmMaxResponse)], nil
	}
	return n.overWire(request, response)
}

// claim extends a register once and for all.
func (n *nsm) claim(index uint64, data []byte) error {
	if _, err := n.ask("ExtendPCR", []pair{{"index", index}, {"data", data}}); err != nil {
		return err
	}
	_, err := n.ask("LockPCR", []pair{{"index", index}})
	return err
}

// attest returns an attestation document; nil is left out. There is never a public_key in it.
func (n *nsm) attest(userData, nonce []byte) ([]byte, error) {
	answer, err := n.ask("Attestation", []pair{
		{"user_data", userData}, {"nonce", nonce}, {"public_key", []byte(nil)},
	})
	if err != nil {
		return nil, err
	}
	document, ok := answer["document"].([]byte)
	if !ok {
		return nil, errors.New("the security module gives no document")
	}
	return document, nil
}

// overWire asks the parent's software: a request and an answer, each with its length ahead.
// After one that failed nobody knows where the next begins, so it is the last.
func (n *nsm) overWire(request, response []byte) (answer []byte, err error) {
	defer func() {
		if err != nil {
			n.parent.Close()
		}
	}()
	_ = n.parent.SetDeadline(time.Now().Add(nsmTime))
	framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)
	if _, err := n.parent.Write(framed); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(n.parent, response[:4]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(response)
	if length > nsmMaxResponse {
		return nil, fmt.Errorf("an answer of %d bytes", length)
	}
	_, err = io.ReadFull(n.parent, response[:length])
	return response[:length], err
}

func (n *nsm) random() ([]byte, error) {
	answer, err := n.ask("GetRandom", nil)
	if err != nil {
		return nil, err
	}
	random, ok := answer["random"].([]byte)
	if !ok || len(random) == 0 {
		return nil, errors.New("the security module gives no randomness")
	}
	return random, nil
}

// now returns the time that the security module signs with, rather than the parent's word.
func (n *nsm) now() (time.Time, error) {
	document, err := n.attest(nil, nil) // of no domain; nobody else gets it
	if err != nil {
		return time.Time{}, err
	}
	milliseconds, err := timestamp(document)
	return time.UnixMilli(int64(milliseconds)), err
}

// timestamp reads it from a document: COSE_Sign1, whose third part is the payload.
func timestamp(document []byte) (uint64, error) {
	outer, err := decode(document)
	if err != nil {
		return 0, err
	}
	parts, _ := outer.([]any)
	if len(parts) != 4 {
		return 0, errCBOR
	}
	payload, _ := parts[2].([]byte)
	inner, err := decode(payload)
	if err != nil {
		return 0, err
	}
	fields, _ := inner.(map[any]any)
	found, ok := fields["timestamp"].(uint64)
	if !ok {
		return 0, errCBOR
	}
	return found, nil
}
