package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

var pool = sync.Pool{New: func() any { b := make([]byte, 0, 1<<20); return &b }}

func readAll(dst []byte, r io.Reader, hint int64) ([]byte, error) {
	if hint > 0 && int64(cap(dst)) < hint+1 {
		dst = make([]byte, 0, hint+1)
	}
	for {
		if len(dst) == cap(dst) {
			n := make([]byte, len(dst), 2*cap(dst)+65536)
			copy(n, dst)
			dst = n
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

func (s *server) roll() (a, b float64) {
	s.rngMu.Lock()
	defer s.rngMu.Unlock()
	return s.rng.Float64() * 100, s.rng.Float64()
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/oauth2/token" && *oauth != "" {
		s.token(w, r)
		return
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete {
		s.other.Add(1)
		s.elastic(w, r)
		return
	}
	if !s.authorized(r) {
		s.authFail.Add(1)
		io.Copy(io.Discard, r.Body)
		w.Header().Set("WWW-Authenticate", `Bearer realm="bench"`)
		http.Error(w, "not authorized", http.StatusUnauthorized)
		return
	}
	first := time.Now()
	s.firstReq.CompareAndSwap(0, first.UnixNano())
	e := s.ep(r.URL.Path)
	e.mu.Lock()
	e.conc++
	e.maxConc = max(e.maxConc, e.conc)
	e.methods[r.Method]++
	e.ctypes[r.Header.Get("Content-Type")]++
	e.protos[r.Proto]++
	e.encodings[r.Header.Get("Content-Encoding")]++
	if e.first.IsZero() {
		e.first = first
	}
	e.mu.Unlock()
	defer func() { e.mu.Lock(); e.conc--; e.mu.Unlock() }()

	bp := pool.Get().(*[]byte)
	defer pool.Put(bp)
	body, err := readAll((*bp)[:0], r.Body, r.ContentLength)
	*bp = body[:0]
	s.lastAny.Store(time.Now().UnixNano())
	if err != nil {
		e.count(0, "body cut short")
		return
	}
	wire := len(body)
	if strings.EqualFold(r.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			dp := pool.Get().(*[]byte)
			defer pool.Put(dp)
			body, err = readAll((*dp)[:0], z, 0)
			*dp = body[:0]
		}
		if err != nil {
			e.count(400, "bad gzip")
			http.Error(w, "bad gzip", 400)
			return
		}
	}
	if *latency+*jitter > 0 {
		d := *latency
		if *jitter > 0 {
			_, f := s.roll()
			d += time.Duration(f * float64(*jitter))
		}
		time.Sleep(d)
	}
	if *maxBody > 0 && int64(len(body)) > *maxBody {
		e.count(413, "413")
		s.fail(w, r, http.StatusRequestEntityTooLarge, "content_too_long_exception")
		return
	}
	faulty := strings.HasPrefix(r.URL.Path, *faultEp) &&
		(*faultFor == 0 || time.Now().UnixNano()-s.firstReq.Load() < int64(*faultFor))
	lost := false
	if faulty && *p500+*p429+*pReset+*pLost+*pHang > 0 {
		x, _ := s.roll()
		in := func(p float64) bool { x -= p; return x < 0 }
		switch {
		case in(*p500):
			e.count(500, "500")
			s.fail(w, r, 500, "internal_server_error")
			return
		case in(*p429):
			e.count(429, "429")
			w.Header().Set("Retry-After", strconv.Itoa(*retryAft))
			s.fail(w, r, 429, "es_rejected_execution_exception")
			return
		case in(*pReset):
			e.count(0, "reset")
			reset(w)
			return
		case in(*pLost):
			lost = true
		case in(*pHang):
			e.count(0, "hang")
			select {
			case <-time.After(*hang):
			case <-r.Context().Done():
			}
			http.Error(w, "late", 503)
			return
		}
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/discard"):
		e.mu.Lock()
		e.bodies++
		e.wire += int64(wire)
		e.decoded += int64(len(body))
		e.last = time.Now()
		e.status[200]++
		e.mu.Unlock()
		w.WriteHeader(200)
	case strings.HasSuffix(r.URL.Path, "/_bulk"):
		s.bulk(w, e, body, first, wire, faulty, lost)
	default:
		ids := idPool.Get().(*[]item)
		*ids = (*ids)[:0]
		if strings.Contains(r.URL.Path, "/scan") {
			*ids = scan(*ids, body)
		} else {
			*ids = s.lines(*ids, body)
		}
		s.record(e, first, *ids, wire, len(body), len(*ids))
		idPool.Put(ids)
		if lost {
			e.count(0, "lost")
			reset(w)
			return
		}
		e.count(200, "")
		w.WriteHeader(200)
	}
}

// fail answers as Elasticsearch does on _bulk, in plain text elsewhere.
func (s *server) fail(w http.ResponseWriter, r *http.Request, status int, typ string) {
	if !strings.HasSuffix(r.URL.Path, "/_bulk") {
		http.Error(w, typ, status)
		return
	}
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"root_cause":[{"type":%q,"reason":"fault of the bench"}],"type":%q,"reason":"fault of the bench"},"status":%d}`, typ, typ, status)
}

func reset(w http.ResponseWriter) {
	if hj, ok := w.(http.Hijacker); ok {
		if c, _, err := hj.Hijack(); err == nil {
			nc := c
			if t, ok := c.(*tls.Conn); ok {
				nc = t.NetConn()
			}
			if t, ok := nc.(*net.TCPConn); ok {
				t.SetLinger(0)
			}
			nc.Close()
			return
		}
	}
	panic(http.ErrAbortHandler) // HTTP/2: RST_STREAM
}
