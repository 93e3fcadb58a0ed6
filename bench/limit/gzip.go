package main

import (
	"bytes"
	"log"

	"github.com/klauspost/compress/gzip"
)

// zipper compresses the bodies of one connection, if they are to be
// compressed: with the library and at the level that Session Export uses.
type zipper struct {
	buf bytes.Buffer
	w   *gzip.Writer
}

func (z *zipper) pack(body []byte) []byte {
	if !*packed {
		return body
	}
	if z.w == nil {
		z.w, _ = gzip.NewWriterLevel(&z.buf, gzip.BestSpeed) // a level that there is
	}
	z.buf.Reset()
	z.w.Reset(&z.buf)
	if _, err := z.w.Write(body); err != nil {
		log.Fatal(err)
	}
	if err := z.w.Close(); err != nil {
		log.Fatal(err)
	}
	return z.buf.Bytes()
}
