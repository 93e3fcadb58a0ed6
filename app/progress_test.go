package app

import (
	"strings"
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		taken       time.Duration
		want        string
	}{
		{0, 0, 0, "reading   [########################] 100 %"},
		{0, 1000, 0, "reading   [------------------------]   0 %"},
		{0, 1000, time.Second, "reading   [------------------------]   0 %"},
		{250, 1000, time.Second, "reading   [######------------------]  25 %  250/s  0:03 left"},
		{999_999, 1_000_000, 10 * time.Second, "reading   [#######################-]  99 %  99,999/s  0:00 left"},
		{1, 36_001, 100 * time.Millisecond, "reading   [------------------------]   0 %  10/s  1:00:00 left"},
		{7, 5, time.Second, "reading   [########################] 100 %  5/s  0:00 left"},
	} {
		if got := progressLine("reading", c.done, c.total, c.taken); got != c.want {
			t.Errorf("%d of %d in %v:\n%s\n%s", c.done, c.total, c.taken, got, c.want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1_234_567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// The line is drawn a few times a second, not for quick works, and what is
// written meanwhile stands above it.
func TestProgress(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	p := newProgress(&out, true)
	p.now = func() time.Time { return now }
	draw := p.phase("reading")
	draw(1, 100)
	now = now.Add(progressAfter - 1)
	draw(2, 100)
	if out.Len() > 0 {
		t.Errorf("a quick work shows %q", out.String())
	}
	now = now.Add(1)
	draw(50, 100)
	draw(51, 100)
	now = now.Add(progressEvery)
	draw(60, 100)
	if n := strings.Count(out.String(), "\r"); n != 2 {
		t.Errorf("drawn %d times: %q", n, out.String())
	}
	out.Reset()
	if _, err := p.Write([]byte("a note\n")); err != nil || out.String() != "\r\x1b[Ka note\n" {
		t.Errorf("%q, error %v", out.String(), err)
	}
	p.clear()
	if out.String() != "\r\x1b[Ka note\n" {
		t.Errorf("wiped twice: %q", out.String())
	}
	if draw := newProgress(&out, false).phase("reading"); draw != nil {
		t.Error("something is drawn where nothing can be")
	}
}
