package egress

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// socket records what is written to it.
type socket struct {
	net.Conn
	mu     sync.Mutex
	sizes  []int
	all    []byte
	err    error
	block  chan struct{} // not nil: writes wait for Close
	closed bool
}

func (s *socket) Write(p []byte) (int, error) {
	if s.block != nil {
		<-s.block
		return 0, net.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.sizes = append(s.sizes, len(p))
	s.all = append(s.all, p...)
	return len(p), nil
}

func (s *socket) Close() error {
	if s.block != nil && !s.closed {
		close(s.block)
	}
	s.closed = true
	return nil
}

func (s *socket) writes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sizes)
}

// record looks like one of TLS with n bytes in it.
func record(n int) []byte {
	p := make([]byte, n+22)
	for i := 0; i < len(p); i += 61 {
		p[i] = byte(rand.Uint32())
	}
	p[0], p[1], p[2] = 23, 3, 3
	return p
}

func mustWrite(t *testing.T, c io.Writer, p []byte) {
	t.Helper()
	if n, err := c.Write(p); err != nil || n != len(p) {
		t.Fatalf("wrote %d of %d, %v", n, len(p), err)
	}
}

func TestFullRecordsGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &socket{}
		c := &gathered{Conn: s}
		mustWrite(t, c, record(100))
		for range 3 {
			mustWrite(t, c, record(fullRecord))
		}
		mustWrite(t, c, record(50))
		mustWrite(t, c, record(60))
		full := fullRecord + 22
		if got, want := s.writes(), []int{122, 3*full + 72, 82}; !slices.Equal(got, want) {
			t.Errorf("writes of %v bytes, want %v", got, want)
		}
		for range 40 {
			mustWrite(t, c, record(fullRecord))
		}
		if got := s.writes(); len(got) != 5 || got[3] < gatherBytes || got[3] > gatherBytes+full {
			t.Errorf("writes of %v bytes", got)
		}
		if err := c.Close(); err != nil || !s.closed {
			t.Errorf("closed %v, %v", s.closed, err)
		}
	})
}

// A full record that nothing follows leaves after gatherDelay, not before.
func TestHeldRecordLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &socket{}
		c := &gathered{Conn: s}
		for round := range 3 { // the timer is used again
			mustWrite(t, c, record(fullRecord))
			time.Sleep(gatherDelay - 1)
			synctest.Wait()
			if len(s.writes()) != round {
				t.Fatalf("round %d: it left early", round)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if len(s.writes()) != round+1 {
				t.Fatalf("round %d: it is still held", round)
			}
		}
	})
}

func TestOnlyApplicationDataIsHeld(t *testing.T) {
	for name, p := range map[string][]byte{
		"plain HTTP": bytes.Repeat([]byte("POST"), fullRecord),
		"handshake":  append([]byte{22, 3, 3}, make([]byte, fullRecord)...),
		"short":      record(fullRecord - 100),
		"empty":      {},
	} {
		s := &socket{}
		mustWrite(t, &gathered{Conn: s}, p)
		if got := s.writes(); !slices.Equal(got, []int{len(p)}) {
			t.Errorf("%s: writes of %v bytes", name, got)
		}
	}
}

func TestLateErrorIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reset := errors.New("reset")
		s := &socket{err: reset}
		c := &gathered{Conn: s}
		mustWrite(t, c, record(fullRecord)) // held
		time.Sleep(gatherDelay)
		synctest.Wait()
		for range 2 {
			if _, err := c.Write(record(10)); !errors.Is(err, reset) {
				t.Errorf("error %v", err)
			}
		}
	})
}

func TestCloseEndsABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &socket{block: make(chan struct{})}
		c := &gathered{Conn: s}
		mustWrite(t, c, record(fullRecord)) // the late flush blocks
		time.Sleep(gatherDelay)
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.Write(record(10)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}

// Whatever the sizes and pauses, the bytes are the same in the same order.
func TestGatheringKeepsTheBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(25) {
			random := rand.New(rand.NewPCG(seed, 1))
			s := &socket{}
			c := &gathered{Conn: s}
			var want []byte
			for range random.IntN(60) {
				p := record(random.IntN(3) * random.IntN(fullRecord))
				if random.IntN(2) == 0 {
					p = record(fullRecord)
				}
				want = append(want, p...)
				mustWrite(t, c, p)
				clear(p) // the caller's memory is its own again
				if random.IntN(5) == 0 {
					time.Sleep(time.Duration(random.IntN(2)) * gatherDelay)
				}
			}
			time.Sleep(2 * gatherDelay)
			synctest.Wait()
			if !bytes.Equal(s.all, want) {
				t.Fatalf("seed %d: %d bytes arrived, %d were sent", seed, len(s.all), len(want))
			}
			_ = c.Close()
		}
	})
}

// Bodies of every length around a record's arrive whole, over both protocols
// and both versions of TLS.
func TestBodiesArrive(t *testing.T) {
	a := newAuthority(t)
	for _, version := range []uint16{0x0303, 0x0304} { // TLS 1.2 and 1.3
		s := a.serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(body)
		}, func(s *httptest.Server) { s.TLS.MaxVersion = version })
		for _, only := range []bool{true, false} {
			c := clientOf(t, Options{RootCAs: a.pool(t), HTTP1Only: only})
			pattern := []byte("a pattern whose length shares no factor with a record's: 61..")
			for _, n := range []int{0, 1, fullRecord - 1, fullRecord, fullRecord + 1, 4 * fullRecord, gatherBytes, 896_000} {
				body := bytes.Repeat(pattern, n/len(pattern)+1)[:n]
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				answer, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				echo, err := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if err != nil || !bytes.Equal(echo, body) {
					t.Errorf("%d bytes, HTTP/1 only %v: %d came back, %v", n, only, len(echo), err)
				}
			}
		}
	}
}
