package main

import (
	"bytes"
	"hash/crc32"
	"sync"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type item struct {
	idx    int
	same   bool // the bytes are those that were produced
	reject bool
}

var idPool = sync.Pool{New: func() any { v := make([]item, 0, 1024); return &v }}

var idKey = []byte("userSessionId")

// id finds `userSessionId`, then skips quotes, colons, blanks and backslashes
// and reads <visitor>_<index>. rest is what follows.
func id(b []byte) (idx int, rest []byte) {
	p := bytes.Index(b, idKey)
	if p < 0 {
		return -1, nil
	}
	b = b[p+len(idKey):]
	i := 0
	for i < len(b) && (b[i] == '"' || b[i] == ':' || b[i] == ' ' || b[i] == '\\') {
		i++
	}
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i >= len(b) || b[i] != '_' {
		return -1, b[min(i, len(b)):]
	}
	i++
	n, at := 0, i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' && i-at < 12 {
		n = n*10 + int(b[i]-'0')
		i++
	}
	if i == at {
		return -1, b[i:]
	}
	return n, b[i:]
}

func (s *server) doc(line []byte) item {
	idx := -1
	if len(line) > 256 { // as produced, it is near the start
		idx, _ = id(line[:256])
	}
	if idx < 0 {
		idx, _ = id(line)
	}
	it := item{idx: idx, same: true}
	if s.crc != nil && idx >= 0 && idx < len(s.crc) {
		it.same = crc32.Checksum(line, castagnoli) == s.crc[idx]
	}
	return it
}

func (s *server) lines(ids []item, b []byte) []item {
	for len(b) > 0 {
		var l []byte
		if p := bytes.IndexByte(b, '\n'); p >= 0 {
			l, b = b[:p], b[p+1:]
		} else {
			l, b = b, nil
		}
		if len(l) > 0 {
			ids = append(ids, s.doc(l))
		}
	}
	return ids
}

func scan(ids []item, b []byte) []item {
	for {
		idx, rest := id(b)
		if rest == nil {
			return ids
		}
		ids = append(ids, item{idx: idx, same: true})
		b = rest
	}
}
