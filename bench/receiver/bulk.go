package main

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
	"time"
)

var itemBuf = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

func (s *server) bulk(w http.ResponseWriter, e *endpoint, b []byte, first time.Time, wire int, faulty, lost bool) {
	decoded := len(b)
	ids := idPool.Get().(*[]item)
	defer idPool.Put(ids)
	*ids = (*ids)[:0]
	rp := itemBuf.Get().(*[]byte)
	defer func() { itemBuf.Put(rp) }()
	resp := append((*rp)[:0], `{"took":5,"errors":`...)
	errAt := len(resp)
	resp = append(resp, `false,"items":[`...)
	errs, bad, n := false, false, 0
	stat := map[int]int{}
	for len(b) > 0 {
		p := bytes.IndexByte(b, '\n')
		if p < 0 {
			bad = true // _bulk bodies must end in a newline
			break
		}
		act := b[:p]
		b = b[p+1:]
		if len(bytes.TrimSpace(act)) == 0 {
			continue
		}
		a := bytes.TrimLeft(act, `{ "`)
		op := "index"
		switch {
		case bytes.HasPrefix(a, []byte("index")):
		case bytes.HasPrefix(a, []byte("create")):
			op = "create"
		default:
			bad = true
		}
		if bad {
			break
		}
		docID := ""
		if q := bytes.Index(act, []byte(`"_id"`)); q >= 0 {
			v := act[q+5:]
			if o := bytes.IndexByte(v, '"'); o >= 0 {
				if c := bytes.IndexByte(v[o+1:], '"'); c >= 0 {
					docID = string(v[o+1 : o+1+c])
				}
			}
		}
		if n == 0 && e.sample == "" {
			e.mu.Lock()
			e.sample = string(act)
			e.mu.Unlock()
		}
		p = bytes.IndexByte(b, '\n')
		if p < 0 {
			bad = true
			break
		}
		it := s.doc(b[:p])
		b = b[p+1:]
		st := 201
		if faulty && *pItem400 > 0 && float64(hash(uint64(it.idx)^*fseed<<40)%10000) < *pItem400*100 {
			st = 400
		} else if faulty && *pItem429 > 0 {
			if x, _ := s.roll(); x < *pItem429 {
				st = 429
			}
		}
		if n > 0 {
			resp = append(resp, ',')
		}
		n++
		stat[st]++
		resp = append(resp, `{"`...)
		resp = append(resp, op...)
		resp = append(resp, `":{"_index":"bench","_id":"`...)
		resp = append(resp, docID...)
		switch st {
		case 201:
			resp = append(resp, `","_version":1,"result":"created","_shards":{"total":2,"successful":1,"failed":0},"_seq_no":1,"_primary_term":1,"status":201}}`...)
			*ids = append(*ids, it)
		case 429:
			errs = true
			resp = append(resp, `","status":429,"error":{"type":"es_rejected_execution_exception","reason":"rejected execution of coordinating operation"}}}`...)
		case 400:
			errs = true
			it.reject = true
			*ids = append(*ids, it)
			resp = append(resp, `","status":400,"error":{"type":"document_parsing_exception","reason":"failed to parse field"}}}`...)
		}
	}
	if bad {
		e.mu.Lock()
		e.badBulk++
		e.mu.Unlock()
		e.count(400, "malformed bulk")
		http.Error(w, `{"error":{"type":"illegal_argument_exception","reason":"malformed bulk request"},"status":400}`, 400)
		return
	}
	resp = append(resp, `]}`...)
	if errs {
		// "false" is one letter longer than "true": keep the length with a blank
		copy(resp[errAt:], "true ")
	}
	*rp = resp
	s.record(e, first, *ids, wire, decoded, n)
	e.mu.Lock()
	for k, v := range stat {
		e.itemStat[k] += v
	}
	e.mu.Unlock()
	if lost {
		e.count(0, "lost")
		reset(w)
		return
	}
	e.count(200, "")
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(resp)))
	w.Write(resp)
}

func hash(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB
	return z ^ (z >> 31)
}
