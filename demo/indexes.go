package demo

import "math/bits"

// Indexes is a set of session indexes, one bit each. Its zero value is empty.
// It is not safe for concurrent use.
type Indexes struct {
	words []uint64
	count int
}

// Add puts i in and tells whether it was new. A negative index is ignored.
func (s *Indexes) Add(i int) bool {
	if i < 0 {
		return false
	}
	word, bit := i/64, uint64(1)<<(i%64)
	if need := word + 1 - len(s.words); need > 0 {
		s.words = append(s.words, make([]uint64, need)...)
	}
	if s.words[word]&bit != 0 {
		return false
	}
	s.words[word] |= bit
	s.count++
	return true
}

// Has tells whether i is in the set.
func (s *Indexes) Has(i int) bool {
	return s != nil && i >= 0 && i/64 < len(s.words) && s.words[i/64]>>(i%64)&1 != 0
}

// Len is the number of indexes in the set.
func (s *Indexes) Len() int {
	if s == nil {
		return 0
	}
	return s.count
}

// Clone returns a copy that does not change with the original.
func (s *Indexes) Clone() *Indexes {
	return &Indexes{words: append([]uint64(nil), s.words...), count: s.count}
}

// missing counts the indexes first, …, first+count-1 that are in scope and in
// neither of the sets.
func missing(first, count int, inScope func(int) bool, a, b *Indexes) int {
	n := 0
	for i := first; i < first+count; i++ {
		if i%64 == 0 && i+64 <= first+count && bits.OnesCount64(a.word(i/64)|b.word(i/64)) == 64 {
			i += 63
			continue
		}
		if !a.Has(i) && !b.Has(i) && (inScope == nil || inScope(i)) {
			n++
		}
	}
	return n
}

func (s *Indexes) word(k int) uint64 {
	if s == nil || k >= len(s.words) {
		return 0
	}
	return s.words[k]
}
