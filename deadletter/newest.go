package deadletter

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"sessionexport/consumer"
)

// keysAtOnce is how many keys are remembered while the newest record of each
// is looked for. One costs 24 bytes and its share of a hash table, so that all
// of them stay below 40 MB however many letters there are: beyond that number
// a partition is read again for the rest.
const keysAtOnce = 1 << 19

// keyHash stands for a key: 16 bytes of SHA-256, so that two of a billion keys
// meet with a probability below 1 in 10^20.
type keyHash [16]byte

func hashOf(key []byte) keyHash {
	sum := sha256.Sum256(key)
	return keyHash(sum[:16])
}

// share is a part of all keys: those whose hash leaves rest when divided by of.
type share struct{ of, rest uint64 }

func (s share) has(h keyHash) bool { return binary.LittleEndian.Uint64(h[:8])%s.of == s.rest }

// newest finds, in one partition, the records that are the newest of their key
// and no tombstones. It reads the partition once for every keysAtOnce keys:
//
//	all keys ──▶ too many? ──▶ half of them now, the other half in a later turn
//	                              └──▶ too many? ──▶ …
type newest struct {
	most int // keys that are remembered
	live offsets
}

// find calls read once for every turn. read hands over every record, oldest
// first.
func (n *newest) find(read func(each func(*consumer.Record) bool) error) error {
	keys := map[keyHash]int64{}
	turns := []share{{of: 1}}
	for len(turns) > 0 {
		turn := turns[len(turns)-1]
		turns = turns[:len(turns)-1]
		clear(keys)
		err := read(func(r *consumer.Record) bool {
			h := hashOf(r.Key)
			if !turn.has(h) {
				return true
			}
			if older, ok := keys[h]; ok {
				n.live.remove(older)
			}
			if r.Value == nil && r.TooLarge == 0 {
				delete(keys, h) // a tombstone
				return true
			}
			n.live.add(r.Offset)
			keys[h] = r.Offset
			for len(keys) > n.most {
				turns = append(turns, share{of: 2 * turn.of, rest: turn.rest + turn.of})
				turn.of *= 2
				for k := range keys {
					if !turn.has(k) {
						delete(keys, k)
					}
				}
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// chunkWords of 64 offsets make a chunk of 4 KB.
const (
	chunkWords = 512
	chunkSpan  = chunkWords * 64
)

// offsets is a set of offsets, one bit each, in chunks that exist only where
// the set has members.
type offsets struct {
	chunks map[int64]*[chunkWords]uint64
	order  []int64 // of the chunks, ascending; nil: to be sorted again
	count  int64
}

func (o *offsets) add(offset int64) {
	id := offset / chunkSpan
	c := o.chunks[id]
	if c == nil {
		if o.chunks == nil {
			o.chunks = map[int64]*[chunkWords]uint64{}
		}
		c = new([chunkWords]uint64)
		o.chunks[id] = c
		o.order = nil
	}
	if at := offset % chunkSpan; c[at/64]&(1<<(at%64)) == 0 {
		c[at/64] |= 1 << (at % 64)
		o.count++
	}
}

func (o *offsets) remove(offset int64) {
	c := o.chunks[offset/chunkSpan]
	if c == nil {
		return
	}
	if at := offset % chunkSpan; c[at/64]&(1<<(at%64)) != 0 {
		c[at/64] &^= 1 << (at % 64)
		o.count--
	}
}

func (o *offsets) has(offset int64) bool {
	c := o.chunks[offset/chunkSpan]
	at := offset % chunkSpan
	return c != nil && c[at/64]&(1<<(at%64)) != 0
}

// next returns the smallest member that is not below from.
func (o *offsets) next(from int64) (int64, bool) {
	if o.order == nil {
		for id := range o.chunks {
			o.order = append(o.order, id)
		}
		slices.Sort(o.order)
	}
	i, _ := slices.BinarySearch(o.order, from/chunkSpan)
	for ; i < len(o.order); i++ {
		base := o.order[i] * chunkSpan
		first := max(from-base, 0)
		c := o.chunks[o.order[i]]
		for w := first / 64; w < chunkWords; w++ {
			word := c[w]
			if w == first/64 {
				word &= ^uint64(0) << (first % 64)
			}
			if word != 0 {
				return base + w*64 + int64(bits.TrailingZeros64(word)), true
			}
		}
	}
	return 0, false
}
