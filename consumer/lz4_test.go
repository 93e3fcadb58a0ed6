package consumer

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
)

func lz4Packed(t testing.TB, data []byte, options ...lz4.Option) []byte {
	t.Helper()
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	if err := w.Apply(options...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestLZ4Frames(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	texts := map[string][]byte{
		"nothing": {}, "short": []byte("x"), "noise": noise,
		"text":       []byte(strings.Repeat(`{"tenantId":"t","userSessionId":"1","startTime":17}`, 9000)),
		"repetition": bytes.Repeat([]byte{7}, 5<<20), // 20 times as large as the first guess
	}
	options := map[string][]lz4.Option{
		"default":  {},
		"64 KB":    {lz4.BlockSizeOption(lz4.Block64Kb)},
		"4 MB":     {lz4.BlockSizeOption(lz4.Block4Mb)},
		"checksum": {lz4.ChecksumOption(true), lz4.BlockChecksumOption(true), lz4.BlockSizeOption(lz4.Block256Kb)},
		"no sum":   {lz4.ChecksumOption(false)},
	}
	for name, data := range texts {
		for how, o := range options {
			if len(data) > 0 {
				o = append(o, lz4.SizeOption(uint64(len(data))))
			}
			packed := lz4Packed(t, data, o...)
			b, err := decompressLZ4(packed, 8<<20)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, how, err)
			}
			if !bytes.Equal(b.b, data) {
				t.Errorf("%s, %s: other bytes came out", name, how)
			}
			b.release()
			twice, err := decompressLZ4(append(bytes.Clone(packed), packed...), 16<<20)
			if err != nil || len(twice.b) != 2*len(data) {
				t.Errorf("%s, %s: two frames: %v", name, how, err)
			}
			if len(data) > 1 {
				if _, err := decompressLZ4(packed, len(data)-1); !errors.Is(err, errTooLarge) {
					t.Errorf("%s, %s: over the limit: %v", name, how, err)
				}
				if _, err := decompressLZ4(packed[:len(packed)/2], 8<<20); err == nil {
					t.Errorf("%s, %s: half a frame was taken", name, how)
				}
			}
		}
	}
}

// TestLZ4LinkedBlocks unpacks a frame whose second block refers to the first,
// as the library's writer never makes them: 'abcdefgh' stored, then a match of
// 8 bytes 8 bytes back and the literal '!'.
func TestLZ4LinkedBlocks(t *testing.T) {
	frame := []byte{0x04, 0x22, 0x4D, 0x18, 0x40, 0x40, 0xC0}
	frame = append(frame, 8, 0, 0, 0x80)
	frame = append(frame, "abcdefgh"...)
	second := []byte{0x04, 8, 0, 0x50, 'i', 'j', 'k', 'l', '!'} // match 8 long, 8 back; then 5 literals
	frame = append(frame, byte(len(second)), 0, 0, 0)
	frame = append(frame, second...)
	frame = append(frame, 0, 0, 0, 0)
	want, err := io.ReadAll(lz4.NewReader(bytes.NewReader(frame)))
	if err != nil {
		t.Logf("the library says: %v", err)
		want = []byte("abcdefghabcdefghijkl!")
	}
	b, err := decompressLZ4(frame, 1<<20)
	if err != nil || !bytes.Equal(b.b, want) {
		t.Errorf("got %q, %v, want %q", b.b, err, want)
	}
}

func FuzzLZ4(f *testing.F) {
	f.Add(lz4Packed(f, []byte("hello hello hello hello hello")))
	f.Add(lz4Packed(f, bytes.Repeat([]byte("abc"), 50_000), lz4.BlockChecksumOption(true)))
	f.Add([]byte{0x04, 0x22, 0x4D, 0x18, 0x60, 0x70, 0x73, 0, 0, 0, 0})
	f.Add([]byte{0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, src []byte) {
		const limit = 1 << 20
		b, err := decompressLZ4(src, limit)
		if err == nil {
			if len(b.b) > limit {
				t.Fatalf("%d bytes came out, the limit is %d", len(b.b), limit)
			}
			defer b.release()
		}
		// Where both take it, both read the same. What one of them alone takes
		// differs at the edges: we check no sums, as the record batch has its
		// own, and know no legacy frames.
		want, libErr := io.ReadAll(io.LimitReader(lz4.NewReader(bytes.NewReader(src)), limit+1))
		if err == nil && libErr == nil && len(want) <= limit && !bytes.Equal(b.b, want) {
			t.Fatal("other bytes came out")
		}
		// What the library packs we unpack.
		packed, err := decompressLZ4(lz4Packed(t, src, lz4.BlockSizeOption(lz4.Block64Kb)), limit)
		if err != nil {
			t.Fatal(err)
		}
		defer packed.release()
		if !bytes.Equal(packed.b, src) {
			t.Fatal("what was packed came out otherwise")
		}
	})
}
