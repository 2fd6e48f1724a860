package main

import (
	"encoding/json"
	"errors"
	"fmt"
)

// A document says who asked for it: its user_data is a domain, with the newline at its end,
// and then the bytes that were given. No domain begins another one, and only what is written
// here puts one there, so no bytes of one side make a document of the other. vcr/attest/domains.py
// has the same.
const (
	parentDomain = "vcr parent v1\n" // port 9002: whoever is outside
	appDomain    = "vcr app v1\n"    // the door: a process of the app
	maxData      = 64                // bytes of user_data after its domain
	maxNonce     = 64
)

// Asked is what a document is asked for with; bytes are base64 in JSON.
type Asked struct {
	UserData []byte `json:"user_data"`
	Nonce    []byte `json:"nonce"`
	// Never taken: whoever encrypts to a document's key takes it for the enclave's.
	PublicKey json.RawMessage `json:"public_key"`
}

func (a *Asked) check() error {
	switch {
	case a.PublicKey != nil:
		return errors.New("public_key is refused: nobody outside says what the enclave's key is")
	case len(a.UserData) > maxData:
		return fmt.Errorf("user_data has more than %d bytes", maxData)
	case len(a.Nonce) > maxNonce:
		return fmt.Errorf("nonce has more than %d bytes", maxNonce)
	}
	return nil
}

// document returns one of DOMAIN for what was asked.
func (n *nsm) document(domain string, asked *Asked) ([]byte, error) {
	if err := asked.check(); err != nil {
		return nil, err
	}
	return n.attest(append([]byte(domain), asked.UserData...), asked.Nonce)
}
