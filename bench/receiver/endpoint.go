package main

import (
	"cmp"
	"slices"
	"sort"
	"sync"
	"syscall"
	"time"
)

const limit896 = 896000

// arrival is one request.
type arrival struct {
	First    int64 `json:"first_ns"` // when its head was there
	Last     int   `json:"last"`     // index of its last session
	Sessions int   `json:"sessions"`
	Bytes    int   `json:"bytes"` // without compression
}

type endpoint struct {
	mu        sync.Mutex
	seen      []uint8
	rejected  []bool
	distinct  int
	dups      int
	rej       int
	altered   int
	unknown   int
	total     int
	bodies    int
	wire      int64
	decoded   int64
	maxWire   int
	maxDec    int
	maxSess   int
	over      int // bodies above 896,000 bytes
	over1000  int // bodies above 1000 sessions
	sizes     []int
	arrivals  []arrival
	first     time.Time // first byte
	last      time.Time // last counted body
	t50, t95  time.Time
	d50, d95  int // distinct by then
	tEnd      time.Time
	status    map[int]int
	methods   map[string]int
	ctypes    map[string]int
	protos    map[string]int
	encodings map[string]int
	faults    map[string]int
	badBulk   int
	itemStat  map[int]int
	sample    string
	maxConc   int
	conc      int
}

func (s *server) ep(path string) *endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.eps[path]
	if e == nil {
		e = &endpoint{seen: make([]uint8, *expect), rejected: make([]bool, *expect), status: map[int]int{},
			methods: map[string]int{}, ctypes: map[string]int{}, protos: map[string]int{},
			encodings: map[string]int{}, faults: map[string]int{}, itemStat: map[int]int{}}
		s.eps[path] = e
	}
	return e
}

func (e *endpoint) count(status int, fault string) {
	e.mu.Lock()
	if status != 0 {
		e.status[status]++
	}
	if fault != "" {
		e.faults[fault]++
	}
	e.mu.Unlock()
}

func (s *server) record(e *endpoint, first time.Time, ids []item, wire, decoded, n int) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bodies++
	e.wire += int64(wire)
	e.decoded += int64(decoded)
	e.maxWire = max(e.maxWire, wire)
	e.maxDec = max(e.maxDec, decoded)
	e.maxSess = max(e.maxSess, n)
	if decoded > limit896 {
		e.over++
	}
	if n > 1000 {
		e.over1000++
	}
	if len(e.sizes) < 1<<20 {
		e.sizes = append(e.sizes, decoded)
	}
	if *arrFile != "" && len(ids) > 0 {
		e.arrivals = append(e.arrivals, arrival{first.UnixNano(), ids[len(ids)-1].idx, n, decoded})
	}
	for _, it := range ids {
		e.total++
		if it.idx < 0 || it.idx >= len(e.seen) {
			e.unknown++
			continue
		}
		if it.reject {
			if !e.rejected[it.idx] {
				e.rejected[it.idx] = true
				e.rej++
			}
			continue
		}
		if !it.same {
			e.altered++
		}
		if e.seen[it.idx] == 0 {
			e.distinct++
		} else {
			e.dups++
		}
		if e.seen[it.idx] < 255 {
			e.seen[it.idx]++
		}
	}
	e.last = now
	if e.t50.IsZero() && e.distinct*2 >= due() {
		e.t50, e.d50 = now, e.distinct
	}
	if e.t95.IsZero() && e.distinct*100 >= due()*95 {
		e.t95, e.d95 = now, e.distinct
	}
	if due() > 0 && e.tEnd.IsZero() && e.distinct+e.rej >= due() {
		e.tEnd = now
		s.mu.Lock()
		s.ended++
		all := s.ended >= *npaths
		s.mu.Unlock()
		if all {
			s.doneOnce.Do(func() { close(s.done) })
		}
	}
}

// due is how many sessions are to come to an endpoint.
func due() int {
	if *complete > 0 {
		return *complete
	}
	return *expect
}

// requests are those of all endpoints, in their order.
func (s *server) requests() []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []arrival{}
	for _, e := range s.eps {
		e.mu.Lock()
		all = append(all, e.arrivals...)
		e.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b arrival) int { return cmp.Compare(a.First, b.First) })
	return all
}

func (s *server) summary(why string) map[string]any {
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	s.mu.Lock()
	defer s.mu.Unlock()
	eps := map[string]any{}
	for p, e := range s.eps {
		e.mu.Lock()
		missing := max(0, due()-e.distinct-e.rej)
		unknown := e.unknown + max(0, e.distinct-due()) // some that were not to come
		sort.Ints(e.sizes)
		q := func(f float64) int {
			if len(e.sizes) == 0 {
				return 0
			}
			return e.sizes[int(f*float64(len(e.sizes)-1))]
		}
		secs := func(t time.Time) float64 {
			if t.IsZero() || e.first.IsZero() {
				return 0
			}
			return t.Sub(e.first).Seconds()
		}
		ns := func(t time.Time) int64 {
			if t.IsZero() {
				return 0
			}
			return t.UnixNano()
		}
		eps[p] = map[string]any{
			"bodies": e.bodies, "wire_bytes": e.wire, "bytes": e.decoded, "max_body": e.maxDec, "max_wire": e.maxWire,
			"p50_body": q(.5), "p10_body": q(.1), "max_sessions": e.maxSess, "bodies_over_896000": e.over, "bodies_over_1000": e.over1000,
			"sessions": e.total, "distinct": e.distinct, "duplicates": e.dups, "missing": missing, "rejected": e.rej,
			"altered": e.altered, "unknown": unknown, "first_ns": ns(e.first), "last_ns": ns(e.last), "end_ns": ns(e.tEnd),
			"t50_ns": ns(e.t50), "t95_ns": ns(e.t95), "d50": e.d50, "d95": e.d95, "secs_to_95": secs(e.t95), "secs_to_last": secs(e.last),
			"status": e.status, "methods": e.methods, "content_types": e.ctypes, "protos": e.protos, "encodings": e.encodings,
			"faults": e.faults, "malformed_bulk": e.badBulk, "item_status": e.itemStat, "first_action": e.sample, "max_concurrent": e.maxConc,
		}
		e.mu.Unlock()
	}
	return map[string]any{
		"why": why, "expect": *expect, "endpoints": eps, "connections": s.conns.Load(), "other_requests": s.other.Load(),
		"auth_failures": s.authFail.Load(), "tokens": s.tokens.Load(), "token_failures": s.tokenFail.Load(),
		"cpu_s": float64(ru.Utime.Nano()+ru.Stime.Nano()) / 1e9,
	}
}
