package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// vectors reads tests/vectors/NAME.json: what Python is tried on, too, by
// tests/unit/test_vectors.py. VCR_VECTORS is the directory where the sources are not all there.
func vectors(t *testing.T, name string, into any) {
	t.Helper()
	directory := os.Getenv("VCR_VECTORS")
	if directory == "" {
		directory = filepath.Join("..", "..", "tests", "vectors")
	}
	data, err := os.ReadFile(filepath.Join(directory, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
