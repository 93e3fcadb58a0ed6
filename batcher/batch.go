package batcher

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"sessionexport/session"
)

// Trigger is what made a batch leave.
type Trigger string

// The triggers; they are the values of a metric label.
const (
	BySessions Trigger = "sessions" // the largest number of sessions was in
	ByBytes    Trigger = "bytes"    // the next session would have pushed the body past its limit
	ByIdle     Trigger = "idle"     // no session came for the idle time
	ByAge      Trigger = "age"      // the batch's first session waited for the longest time
	ByReload   Trigger = "reload"   // other settings came into force
)

// Item is one session of a batch: where it is in the body and where it came from.
type Item struct {
	Start, Doc, End int32 // in Body: its framing, its document, its end
	Pos             session.Position
	Timestamp       int64 // of its record, milliseconds since 1970
}

// Batch is encoded sessions and an index of them, so that a split or a partial
// retry is slicing, not parsing again.
type Batch struct {
	Seq     uint64 // consecutive within a Batcher
	Body    []byte // framed sessions; a format's enclosing bytes are not in it
	Items   []Item
	Trigger Trigger
	Opened  time.Time // when its first session came
	Oldest  int64     // the smallest record timestamp in it, milliseconds
	Encoder Encoder   // that framed its sessions

	last time.Time // when its newest session came
}

// Frames returns the framed sessions from (inclusive) to (exclusive).
func (b *Batch) Frames(from, to int) []byte {
	if from >= to {
		return nil
	}
	return b.Body[b.Items[from].Start:b.Items[to-1].End]
}

// Frame returns one framed session.
func (b *Batch) Frame(i int) []byte { return b.Body[b.Items[i].Start:b.Items[i].End] }

// ID names the sessions that at returns for 0..n-1: a hash of sink, topic and
// their positions. It is the same for every attempt of the same sessions and
// another one for a part of them.
func ID(sink, topic string, n int, at func(int) session.Position) string {
	h := sha256.New()
	h.Write([]byte(sink))
	h.Write([]byte{0})
	h.Write([]byte(topic))
	h.Write([]byte{0})
	var buf [12]byte
	// Runs of consecutive offsets are hashed as ranges: a batch is a few runs.
	for i := 0; i < n; {
		first := at(i)
		end := i + 1
		for end < n {
			if p := at(end); p.Partition != first.Partition || p.Offset != first.Offset+int64(end-i) {
				break
			}
			end++
		}
		binary.BigEndian.PutUint32(buf[:4], uint32(first.Partition)) //nolint:gosec // a bit pattern to hash
		binary.BigEndian.PutUint64(buf[4:], uint64(first.Offset))    //nolint:gosec // a bit pattern to hash
		h.Write(buf[:])
		binary.BigEndian.PutUint64(buf[4:], uint64(end-i)) //nolint:gosec // a length
		h.Write(buf[4:])
		i = end
	}
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:16])
}
