package main

import (
	"encoding/binary"
	"errors"
	"math"
)

// CBOR (RFC 8949), as much of it as the NSM speaks.
const (
	cborUnsigned = 0
	cborNegative = 1
	cborBytes    = 2
	cborText     = 3
	cborArray    = 4
	cborMap      = 5
	cborTag      = 6
	cborSimple   = 7
	cborNull     = 0xf6
	maxDepth     = 16
)

var errCBOR = errors.New("the answer is not CBOR")

// pair is an entry of a map; a slice of them keeps its order.
type pair struct {
	key   string
	value any
}

// encode returns a value: nil, string, []byte, uint64 or []pair.
func encode(value any) []byte {
	switch value := value.(type) {
	case string:
		return append(head(cborText, uint64(len(value))), value...)
	case []byte:
		if value == nil {
			return []byte{cborNull}
		}
		return append(head(cborBytes, uint64(len(value))), value...)
	case uint64:
		return head(cborUnsigned, value)
	case []pair:
		data := head(cborMap, uint64(len(value)))
		for _, entry := range value {
			data = append(append(data, encode(entry.key)...), encode(entry.value)...)
		}
		return data
	}
	return []byte{cborNull}
}

func head(major byte, argument uint64) []byte {
	first := major << 5
	switch {
	case argument < 24:
		return []byte{first | byte(argument)}
	case argument <= math.MaxUint8:
		return []byte{first | 24, byte(argument)}
	case argument <= math.MaxUint16:
		return binary.BigEndian.AppendUint16([]byte{first | 25}, uint16(argument))
	case argument <= math.MaxUint32:
		return binary.BigEndian.AppendUint32([]byte{first | 26}, uint32(argument))
	}
	return binary.BigEndian.AppendUint64([]byte{first | 27}, argument)
}

// decode returns the one value that data is: of the types above, []any or map[any]any.
func decode(data []byte) (any, error) {
	value, rest, err := decodeNext(data, 0)
	if err == nil && len(rest) > 0 {
		err = errCBOR
	}
	return value, err
}

func decodeNext(data []byte, depth int) (any, []byte, error) {
	if depth > maxDepth {
		return nil, nil, errCBOR
	}
	major, argument, rest, err := decodeHead(data)
	if err != nil {
		return nil, nil, err
	}
	switch major {
	case cborUnsigned:
		return argument, rest, nil
	case cborNegative:
		return -1 - int64(argument), rest, nil
	case cborBytes, cborText:
		if argument > uint64(len(rest)) {
			return nil, nil, errCBOR
		}
		if major == cborText {
			return string(rest[:argument]), rest[argument:], nil
		}
		return rest[:argument], rest[argument:], nil
	case cborArray:
		return decodeArray(argument, rest, depth)
	case cborMap:
		return decodeMap(argument, rest, depth)
	case cborTag:
		return decodeNext(rest, depth+1)
	}
	return nil, rest, nil // null, or what none of our answers has
}

func decodeArray(count uint64, rest []byte, depth int) (any, []byte, error) {
	var list []any
	for ; count > 0; count-- {
		value, after, err := decodeNext(rest, depth+1)
		if err != nil {
			return nil, nil, err
		}
		list, rest = append(list, value), after
	}
	return list, rest, nil
}

func decodeMap(count uint64, rest []byte, depth int) (any, []byte, error) {
	found := map[any]any{}
	for ; count > 0; count-- {
		key, after, err := decodeNext(rest, depth+1)
		if err != nil {
			return nil, nil, err
		}
		switch key.(type) {
		case string, uint64, int64:
		default:
			return nil, nil, errCBOR // others cannot be a map's key in Go
		}
		value, after, err := decodeNext(after, depth+1)
		if err != nil {
			return nil, nil, err
		}
		found[key], rest = value, after
	}
	return found, rest, nil
}

func decodeHead(data []byte) (byte, uint64, []byte, error) {
	if len(data) == 0 {
		return 0, 0, nil, errCBOR
	}
	major, info, rest := data[0]>>5, data[0]&31, data[1:]
	if info < 24 {
		return major, uint64(info), rest, nil
	}
	if info > 27 || len(rest) < 1<<(info-24) {
		return 0, 0, nil, errCBOR // 31 would be of unknown length
	}
	size := 1 << (info - 24)
	argument := uint64(0)
	for _, b := range rest[:size] {
		argument = argument<<8 | uint64(b)
	}
	return major, argument, rest[size:], nil
}
