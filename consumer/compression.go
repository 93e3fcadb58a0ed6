package consumer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// The codecs of a record batch, the lowest three bits of its attributes.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

// errUnknownCodec says that a batch is compressed in a way that came later.
var errUnknownCodec = errors.New("unknown codec")

// errTooLarge says that a batch unpacks to more than may be held.
var errTooLarge = errors.New("batch unpacks to more than the limit")

// xerialHeader is how the Java snappy library starts its framed streams: magic,
// version and lowest compatible version.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

type gzipReader struct {
	gzip.Reader
	source bytes.Reader
}

var gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}

// zstdDecoder is safe for concurrent use by DecodeAll. The window is bounded
// by what a whole batch may unpack to, because memory is only taken for what
// is really there.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxUnpacked))
})

// decompress unpacks src into a pooled buffer that the caller releases. It
// returns errTooLarge when the result would exceed limit.
func decompress(codec int, src []byte, limit int) (*buffer, error) {
	switch codec {
	case codecGzip:
		return decompressGzip(src, limit)
	case codecLZ4:
		return decompressLZ4(src, limit)
	case codecSnappy:
		return decompressSnappy(src, limit)
	case codecZstd:
		return decompressZstd(src, limit)
	}
	return nil, fmt.Errorf("%w %d", errUnknownCodec, codec)
}

func decompressGzip(src []byte, limit int) (*buffer, error) {
	s := gzipReaders.Get().(*gzipReader) //nolint:forcetypeassert // the pool holds nothing else
	defer gzipReaders.Put(s)
	s.source.Reset(src)
	if err := s.Reset(&s.source); err != nil {
		return nil, fmt.Errorf("opening gzip: %w", err)
	}
	r := &s.Reader
	b := newBuffer(min(4*len(src), limit))
	b.b = b.b[:cap(b.b)]
	n := 0
	for {
		if n == len(b.b) {
			if n >= limit {
				// One more byte tells a batch of exactly the limit from a larger one.
				var one [1]byte
				if _, err := io.ReadFull(r, one[:]); errors.Is(err, io.EOF) {
					break
				}
				b.release()
				return nil, errTooLarge
			}
			b = b.grow(n, limit)
		}
		m, err := r.Read(b.b[n:])
		n += m
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.release()
			return nil, fmt.Errorf("unpacking: %w", err)
		}
	}
	if n > limit {
		b.release()
		return nil, errTooLarge
	}
	b.b = b.b[:n]
	return b, nil
}

func decompressSnappy(src []byte, limit int) (*buffer, error) {
	if len(src) < xerialHeader || !bytes.Equal(src[:len(xerialMagic)], xerialMagic) {
		n, err := snappy.DecodedLen(src)
		if err != nil {
			return nil, fmt.Errorf("unpacking snappy: %w", err)
		}
		if n > limit {
			return nil, errTooLarge
		}
		b := newBuffer(n)
		if _, err := snappy.Decode(b.b, src); err != nil {
			b.release()
			return nil, fmt.Errorf("unpacking snappy: %w", err)
		}
		return b, nil
	}
	// Two passes: the first adds up the blocks, so that the second writes into
	// one buffer.
	total := 0
	if err := eachBlock(src, func(block []byte) error {
		n, err := snappy.DecodedLen(block)
		total += n
		if err == nil && total > limit {
			err = errTooLarge
		}
		return err
	}); err != nil {
		return nil, err
	}
	b := newBuffer(total)
	at := 0
	if err := eachBlock(src, func(block []byte) error {
		d, err := snappy.Decode(b.b[at:], block)
		at += len(d)
		return err
	}); err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

func eachBlock(src []byte, do func([]byte) error) error {
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return fmt.Errorf("unpacking snappy: %w", io.ErrUnexpectedEOF)
		}
		n := int(binary.BigEndian.Uint32(src))
		if n > len(src)-4 {
			return fmt.Errorf("unpacking snappy: %w", io.ErrUnexpectedEOF)
		}
		if err := do(src[4 : 4+n]); err != nil {
			return fmt.Errorf("unpacking snappy: %w", err)
		}
		src = src[4+n:]
	}
	return nil
}

// zstdRatio is how far the last batch unpacked that did not say it. Java
// producers do not, and a guess that is too small costs memory of its own.
var zstdRatio atomic.Int64

func decompressZstd(src []byte, limit int) (*buffer, error) {
	d, err := zstdDecoder()
	if err != nil {
		return nil, fmt.Errorf("opening zstd: %w", err)
	}
	guess := len(src) * int(max(zstdRatio.Load(), 4))
	told := false
	var h zstd.Header
	if err := h.Decode(src); err == nil && h.HasFCS {
		if h.FrameContentSize > uint64(limit) { //nolint:gosec // a limit is positive
			return nil, errTooLarge
		}
		guess, told = int(h.FrameContentSize), true //nolint:gosec // bounded just above
	}
	b := newBuffer(min(guess, limit))
	out, err := d.DecodeAll(src, b.b[:0])
	if err == nil && len(out) > limit {
		err = errTooLarge
	}
	if err != nil {
		b.release()
		if errors.Is(err, errTooLarge) || errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
			return nil, errTooLarge
		}
		return nil, fmt.Errorf("unpacking zstd: %w", err)
	}
	if !told && len(src) > 0 {
		zstdRatio.Store(min(int64(len(out)/len(src)+1), 64))
	}
	if cap(out) == cap(b.b) {
		b.b = out
		return b, nil
	}
	b.release() // it was too small: the decoder took memory of its own
	b = &buffer{b: out, class: -1}
	b.refs.Store(1)
	return b, nil
}
