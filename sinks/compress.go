package sinks

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// gzipLevel is the fast end of the scale: it shrinks realistic sessions to a
// seventh. The default level wins another fifth of that for twice the time and
// more (BenchmarkGzip).
const gzipLevel = gzip.BestSpeed

// compressor is a writer with the buffer that it fills. Both are kept for the
// next body: a gzip writer is several hundred kilobytes.
type compressor struct {
	buf bytes.Buffer
	w   *gzip.Writer
}

var compressors = sync.Pool{New: func() any {
	c := new(compressor)
	// The level is a constant that the library knows.
	c.w, _ = gzip.NewWriterLevel(&c.buf, gzipLevel)
	return c
}}

// compress fills a pooled compressor with the parts. The caller puts it back
// when nothing reads its buffer any more.
func compress(parts ...[]byte) (*compressor, error) {
	c, ok := compressors.Get().(*compressor)
	if !ok {
		return nil, fmt.Errorf("compressing body: pool returned %T", c)
	}
	c.buf.Reset()
	c.w.Reset(&c.buf)
	for _, part := range parts {
		if _, err := c.w.Write(part); err != nil {
			return nil, fmt.Errorf("compressing body: %w", err)
		}
	}
	if err := c.w.Close(); err != nil {
		return nil, fmt.Errorf("compressing body: %w", err)
	}
	return c, nil
}
