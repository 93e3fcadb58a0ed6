package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
)

func TestZipper(t *testing.T) {
	body := bytes.Repeat([]byte("a session\n"), 1000)
	var z zipper
	if got := z.pack(body); !bytes.Equal(got, body) {
		t.Error("compressed unasked")
	}
	*packed = true
	t.Cleanup(func() { *packed = false })
	for range 2 { // the writer is used again
		r, err := gzip.NewReader(bytes.NewReader(z.pack(body)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}
