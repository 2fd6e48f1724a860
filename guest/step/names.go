package main

import (
	"encoding/binary"
	"net"
)

// Of RFC 1035, section 4.1.
const (
	dnsHeader    = 12
	dnsAnswer    = 0x8400 // a response, with authority
	dnsTypeA     = 1
	dnsClassIN   = 1
	dnsNameAtTop = 0xc00c // a pointer to the question's name
	dnsSeconds   = 60
)

// serveNames answers every question for an address with the proxy's.
func serveNames() error {
	socket, err := net.ListenPacket("udp4", dnsAddress+":53")
	if err != nil {
		return err
	}
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, client, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			if reply := answerName(buffer[:n]); reply != nil {
				_, _ = socket.WriteTo(reply, client)
			}
		}
	}()
	return nil
}

// answerName returns the reply to a question: the proxy for an IPv4 address, and no
// data for everything else.
func answerName(query []byte) []byte {
	end := dnsHeader
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root label, type and class
	if end > len(query) {
		return nil
	}
	reply := make([]byte, end, end+16)
	copy(reply, query[:end])
	recursion := binary.BigEndian.Uint16(query[2:]) & 0x0100
	binary.BigEndian.PutUint16(reply[2:], dnsAnswer|recursion|0x80)
	binary.BigEndian.PutUint16(reply[4:], 1)
	answers := uint16(0)
	if binary.BigEndian.Uint16(query[end-4:]) == dnsTypeA {
		answers = 1
		reply = binary.BigEndian.AppendUint16(reply, dnsNameAtTop)
		reply = binary.BigEndian.AppendUint16(reply, dnsTypeA)
		reply = binary.BigEndian.AppendUint16(reply, dnsClassIN)
		reply = binary.BigEndian.AppendUint32(reply, dnsSeconds)
		reply = binary.BigEndian.AppendUint16(reply, 4)
		reply = append(reply, net.ParseIP(proxyAddress).To4()...)
	}
	binary.BigEndian.PutUint16(reply[6:], answers)
	binary.BigEndian.PutUint32(reply[8:], 0)
	return reply
}
