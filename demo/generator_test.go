package demo

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs:\n got %s\nwant %s", name, got, want)
	}
}

func TestSizesFollowTheDistribution(t *testing.T) {
	const n = 20_000
	g := NewGenerator(1)
	var buf []byte
	sizes := make([]int, n)
	for i := range n {
		buf = g.Append(buf[:0], i)
		if len(buf) != g.Size(i) {
			t.Fatalf("session %d has %d bytes, Size says %d", i, len(buf), g.Size(i))
		}
		sizes[i] = len(buf)
	}
	slices.Sort(sizes)
	if m := sizes[n/2]; m < medianSize*95/100 || m > medianSize*105/100 {
		t.Errorf("the median is %d, not %d ±5 %%", m, medianSize)
	}
	if sizes[0] < minSize || sizes[n-1] > maxSize {
		t.Errorf("sizes from %d to %d, want %d to %d", sizes[0], sizes[n-1], minSize, maxSize)
	}
	// One sigma above the median: exp(0.65) = 1.92 times.
	if p84 := sizes[n*8413/10_000]; p84 < 7_200 || p84 > 8_200 {
		t.Errorf("the 84th percentile is %d, want about 7,660", p84)
	}
}

// parsed is what the tests look at in a session.
type parsed struct {
	TenantID        string `json:"tenantId"`
	UserSessionID   string `json:"userSessionId"`
	StartTime       int64  `json:"startTime"`
	EndTime         int64  `json:"endTime"`
	Duration        int64  `json:"duration"`
	UserType        string `json:"userType"`
	ApplicationType string `json:"applicationType"`
	UserActionCount int    `json:"userActionCount"`
	UserActions     []struct {
		Application string `json:"application"`
	} `json:"userActions"`
}

func TestSessionsAreConsistent(t *testing.T) {
	g := NewGenerator(7)
	seen := map[string]bool{}
	userTypes := map[string]int{}
	applicationTypes := map[string]int{}
	for i := range 2_000 {
		doc := g.Append(nil, i)
		if bytes.ContainsAny(doc, "\r\n") {
			t.Fatalf("session %d has a line break", i)
		}
		var p parsed
		if err := json.Unmarshal(doc, &p); err != nil {
			t.Fatalf("session %d: %v\n%s", i, err, doc)
		}
		if seen[p.UserSessionID] {
			t.Fatalf("session %d: id %s came before", i, p.UserSessionID)
		}
		seen[p.UserSessionID] = true
		if string(g.AppendID(nil, i)) != p.UserSessionID {
			t.Fatalf("session %d has id %s, AppendID says %s", i, p.UserSessionID, g.AppendID(nil, i))
		}
		if got, ok := g.Index([]byte(p.UserSessionID)); !ok || got != i {
			t.Fatalf("Index(%s) = %d, %v; want %d", p.UserSessionID, got, ok, i)
		}
		if p.UserActionCount != len(p.UserActions) || p.UserActionCount == 0 || p.EndTime-p.StartTime != p.Duration {
			t.Fatalf("session %d contradicts itself: %+v", i, p)
		}
		var names []string
		for _, a := range p.UserActions {
			if !slices.Contains(names, a.Application) {
				names = append(names, a.Application)
			}
		}
		want := g.Applications(i)
		slices.Sort(names)
		slices.Sort(want)
		if !slices.Equal(names, want) {
			t.Fatalf("session %d has actions of %q, Applications says %q", i, names, want)
		}
		userTypes[p.UserType]++
		applicationTypes[p.ApplicationType]++
	}
	for _, c := range []struct {
		of       map[string]int
		value    string
		low, upp int
	}{
		{userTypes, "SYNTHETIC", 250, 350}, {userTypes, "REAL_USER", 1_550, 1_720},
		{applicationTypes, "MOBILE_APPLICATION", 440, 560}, {applicationTypes, "WEB_APPLICATION", 1_440, 1_560},
	} {
		if n := c.of[c.value]; n < c.low || n > c.upp {
			t.Errorf("%d of 2,000 sessions are %s, want %d to %d", n, c.value, c.low, c.upp)
		}
	}
}

func TestIndexKnowsForeignIDs(t *testing.T) {
	g := NewGenerator(7)
	own := string(g.AppendID(nil, 42))
	for _, id := range []string{"", "_", "42", "_42", "1394_1008", own + "_", own + "x", "0" + own, own[:len(own)-2] + "042", "123456789_99999999999999"} {
		if i, ok := g.Index([]byte(id)); ok {
			t.Errorf("Index(%q) = %d, want it foreign", id, i)
		}
	}
	if _, ok := NewGenerator(8).Index([]byte(own)); ok {
		t.Error("the id of another seed passes for an own one")
	}
}

func TestSessionsStayTheSame(t *testing.T) {
	g := NewGenerator(1)
	var all []byte
	for i := range 6 {
		all = append(g.Append(all, i), '\n')
	}
	golden(t, "sessions.ndjson", all)
}

func TestAppendDoesNotAllocate(t *testing.T) {
	g := NewGenerator(3)
	buf := make([]byte, 0, maxSize)
	i := 0
	if n := testing.AllocsPerRun(500, func() {
		buf = g.Append(buf[:0], i)
		i++
	}); n != 0 {
		t.Errorf("%v allocations a session, want none", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	g := NewGenerator(1)
	buf := make([]byte, 0, maxSize)
	b.ReportAllocs()
	total := 0
	for i := 0; b.Loop(); i++ {
		buf = g.Append(buf[:0], i)
		total += len(buf)
	}
	b.ReportMetric(float64(total)/1e6/b.Elapsed().Seconds(), "MB/s")
}

func TestGeneratorStartsWhenItIsTold(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	g, late := NewGenerator(3), NewGenerator(3).Starting(at)
	for i := range 100 {
		was, is := g.Append(nil, i), late.Append(nil, i)
		if len(is) != late.Size(i) || len(is) != len(was) {
			t.Fatalf("session %d has %d bytes, %d at another time", i, len(was), len(is))
		}
		var s struct{ StartTime int64 }
		if err := json.Unmarshal(is, &s); err != nil {
			t.Fatal(err)
		}
		if d := time.UnixMilli(s.StartTime).Sub(at) - time.Duration(i)*13*time.Millisecond; d < 0 || d >= 5*time.Second {
			t.Fatalf("session %d starts %v after its time", i, d)
		}
	}
}
