package consumer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// Parts of an LZ4 frame. Source: LZ4 Frame Format 1.6.4.
const (
	lz4Magic        = 0x184D2204
	lz4Skippable    = 0x184D2A50 // to …5F
	lz4Version      = 1 << 6     // of the flags
	lz4VersionMask  = 3 << 6
	lz4Independent  = 1 << 5
	lz4BlockSum     = 1 << 4
	lz4ContentSize  = 1 << 3
	lz4ContentSum   = 1 << 2
	lz4Dictionary   = 1 << 0
	lz4Stored       = 1 << 31 // of a block's size: it is not compressed
	lz4History      = 64 << 10
	lz4SmallestSize = 4 // of the block size codes
)

// decompressLZ4 unpacks LZ4 frames straight into a pooled buffer. The
// library's reader would do as well, but it keeps blocks of 4 MB however small
// a batch is, copies once more, and checks sums although the batch's own
// checksum has been verified: half of the cost of reading, measured.
func decompressLZ4(src []byte, limit int) (*buffer, error) {
	b := newBuffer(min(6*len(src)+64, limit))
	b.b = b.b[:cap(b.b)]
	n := 0
	for len(src) > 0 {
		var err error
		if b, n, src, err = lz4Frame(b, n, src, limit); err != nil {
			b.release()
			if errors.Is(err, errTooLarge) {
				return nil, err
			}
			return nil, fmt.Errorf("unpacking lz4: %w", err)
		}
	}
	b.b = b.b[:n]
	return b, nil
}

// lz4Frame unpacks one frame behind the n bytes that b holds already.
func lz4Frame(b *buffer, n int, src []byte, limit int) (_ *buffer, total int, rest []byte, err error) {
	if len(src) < 8 {
		return b, n, nil, io.ErrUnexpectedEOF
	}
	magic := binary.LittleEndian.Uint32(src)
	if magic>>8 == lz4Skippable>>8 { // as widely as the library takes it
		size := int64(binary.LittleEndian.Uint32(src[4:]))
		if size > int64(len(src)-8) {
			return b, n, nil, io.ErrUnexpectedEOF
		}
		return b, n, src[8+size:], nil
	}
	if magic != lz4Magic {
		return b, n, nil, errors.New("not a frame")
	}
	flags, code := src[4], src[5]>>4&7
	if flags&lz4VersionMask != lz4Version || flags&lz4Dictionary != 0 || code < lz4SmallestSize {
		return b, n, nil, errors.New("unknown kind of frame")
	}
	largest := 64 << 10 << (2 * (code - lz4SmallestSize))
	head := 4 + 2 + 1
	if flags&lz4ContentSize != 0 {
		head += 8
	}
	if len(src) < head {
		return b, n, nil, io.ErrUnexpectedEOF
	}
	src = src[head:]
	begin := n
	for {
		if len(src) < 4 {
			return b, n, nil, io.ErrUnexpectedEOF
		}
		word := binary.LittleEndian.Uint32(src)
		src = src[4:]
		if word == 0 {
			break
		}
		size := int(word &^ lz4Stored)
		if size > len(src) || size > largest {
			return b, n, nil, io.ErrUnexpectedEOF
		}
		block := src[:size]
		src = src[size:]
		if flags&lz4BlockSum != 0 {
			if len(src) < 4 {
				return b, n, nil, io.ErrUnexpectedEOF
			}
			src = src[4:]
		}
		history := n
		if flags&lz4Independent == 0 {
			history = max(begin, n-lz4History)
		}
		if b, n, err = lz4Block(b, n, block, word&lz4Stored != 0, history, largest, limit); err != nil {
			return b, n, nil, err
		}
	}
	if flags&lz4ContentSum != 0 {
		if len(src) < 4 {
			return b, n, nil, io.ErrUnexpectedEOF
		}
		src = src[4:]
	}
	return b, n, src, nil
}

// lz4Block unpacks one block; what lies between history and n may be referred
// to. The buffer grows until the block fits.
func lz4Block(b *buffer, n int, block []byte, stored bool, history, largest, limit int) (*buffer, int, error) {
	if stored {
		if n+len(block) > limit {
			return b, n, errTooLarge
		}
		for n+len(block) > len(b.b) {
			b = b.grow(n, limit)
		}
		return b, n + copy(b.b[n:], block), nil
	}
	for {
		room := b.b[n:min(len(b.b), n+largest)]
		m, err := lz4.UncompressBlockWithDict(block, room, b.b[history:n])
		switch {
		case err == nil && n+m > limit:
			return b, n, errTooLarge
		case err == nil:
			return b, n + m, nil
		}
		// The library does not tell a block that is broken from one that does
		// not fit: it is broken when it does not fit the largest size.
		if len(room) >= largest {
			return b, n, err
		}
		if len(b.b) >= limit {
			return b, n, errTooLarge
		}
		b = b.grow(n, limit)
	}
}
