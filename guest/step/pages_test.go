package main

import (
	"encoding/binary"
	"slices"
	"testing"
)

func TestPagesThatFollowEachOtherAreOnePiece(t *testing.T) {
	entries := []byte{}
	for _, frame := range []uint64{7, 8, 9, 3, 5, 6} {
		entries = binary.NativeEndian.AppendUint64(entries, frame|pagePresent|1<<56)
	}
	pieces, err := piecesOf(entries, 3*pageSize, 5*pageSize+1)
	if err != nil {
		t.Fatal(err)
	}
	expected := []extent{
		{3 * pageSize, 3 * pageSize, 7 * pageSize},
		{6 * pageSize, pageSize, 3 * pageSize},
		{7 * pageSize, pageSize + 1, 5 * pageSize},
	}
	if !slices.Equal(pieces, expected) {
		t.Fatal(pieces)
	}
}

func TestAPageThatIsNotInMemoryIsAnError(t *testing.T) {
	for _, entry := range []uint64{7, pagePresent} { // without the right to know, frames are 0
		entries := binary.NativeEndian.AppendUint64(nil, entry)
		if _, err := piecesOf(entries, 0, 1); err == nil {
			t.Fatalf("%x", entry)
		}
	}
}
