package alerts

import (
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestBacklogDanger(t *testing.T) {
	left := func(pace float64, leap int64) []Left {
		return []Left{{Partition: 3, Start: 1000, Committed: 4600, End: 9000, Pace: pace, Leap: leap}}
	}
	for name, c := range map[string]struct {
		backlog Backlog
		near    bool
		left    time.Duration
		text    string
	}{
		"for ever":                 {Backlog{Oldest: noon.Add(-1000 * day)}, false, 0, ""},
		"nothing waits":            {Backlog{Retention: 7 * day}, false, 0, ""},
		"young":                    {Backlog{Retention: 7 * day, Oldest: noon.Add(-6*day + time.Second)}, false, 0, ""},
		"a day left":               {Backlog{Retention: 7 * day, Oldest: noon.Add(-6*day - time.Second)}, true, day - time.Second, "6 days old, and the topic keeps records for 7 days"},
		"too late":                 {Backlog{Retention: 7 * day, Oldest: noon.Add(-8 * day)}, true, -day, "8 days old"},
		"short retention, quarter": {Backlog{Retention: time.Hour, Oldest: noon.Add(-46 * time.Minute)}, true, 14 * time.Minute, "46 minutes old"},
		"short retention, well":    {Backlog{Retention: time.Hour, Oldest: noon.Add(-44 * time.Minute)}, false, 0, ""},
		"bytes, nothing deleted":   {Backlog{Bounded: true, Left: left(0, 0)}, false, 0, ""},
		"bytes, an hour away":      {Backlog{Bounded: true, Left: left(1, 10)}, true, time.Hour, "in partition 3 deletion is 3600 records behind"},
		"bytes, far away":          {Backlog{Bounded: true, Left: left(0.01, 10)}, false, 0, ""},
		"bytes, a leap away":       {Backlog{Bounded: true, Left: left(0.01, 4000)}, true, 48 * time.Hour, "3600 records"},
		"bytes, all is delivered":  {Backlog{Bounded: true, Left: []Left{{Start: 5, Committed: 5, End: 5, Pace: 1, Leap: 5}}}, false, 0, ""},
		"the nearer of both": {Backlog{Retention: 7 * day, Oldest: noon.Add(-7*day + 2*time.Hour), Bounded: true, Left: left(1, 0)},
			true, time.Hour, "retention.bytes"},
	} {
		until, text, near := c.backlog.danger(noon)
		if near != c.near || near && until.Sub(noon) != c.left || !strings.Contains(text, c.text) || near == (text == "") {
			t.Errorf("%s: %v, %v left, %q", name, near, until.Sub(noon), text)
		}
	}
}

func TestPacer(t *testing.T) {
	var p Pacer
	now := noon
	see := func(offset int64) {
		p.See(now, 0, offset)
		now = now.Add(time.Minute)
	}
	expect := func(pace float64, leap int64) {
		t.Helper()
		if gotPace, gotLeap := p.Pace(now, 0); gotPace != pace || gotLeap != leap {
			t.Errorf("pace %v, leap %d; want %v, %d", gotPace, gotLeap, pace, leap)
		}
	}
	expect(0, 0)
	see(100)
	see(100)
	expect(0, 0)
	see(700)
	see(1000)
	expect(900/240.0, 600) // from the first look, 4 minutes ago
	see(50)                // made anew
	expect(0, 0)
	for range 600 { // an old pace is forgotten
		see(50)
	}
	see(60)
	see(70)
	if n := len(p.seen[0]); n > 3 {
		t.Errorf("%d entries are kept", n)
	}
}

func TestCertificateNear(t *testing.T) {
	year := Certificate{Whose: "the year's", From: noon.Add(-300 * day)}
	week := Certificate{Whose: "the week's", From: noon.Add(-3 * day), Until: noon.Add(4 * day)}
	until := func(c Certificate, left time.Duration) Certificate { c.Until = noon.Add(left); return c }
	for name, c := range map[string]struct {
		all  []Certificate
		near bool
		text string
	}{
		"none":              {nil, false, ""},
		"a year's, 15 days": {[]Certificate{until(year, 15*day)}, false, ""},
		"a year's, 13 days": {[]Certificate{until(year, 13*day)}, true, "the year's expires at 2026-01-15T12:00:00Z"},
		"a week's, 4 days":  {[]Certificate{week}, false, ""},
		"a week's, 1 day":   {[]Certificate{until(week, day)}, true, "the week's expires at"},
		"the first of two":  {[]Certificate{until(year, 13*day), until(week, day)}, true, "the week's expires at 2026-01-03T12:00:00Z"},
		"expired":           {[]Certificate{until(year, -time.Second)}, true, "the year's expired at"},
	} {
		_, text, near := nearest(noon, c.all)
		if near != c.near || !strings.Contains(text, c.text) {
			t.Errorf("%s: %v, %q", name, near, text)
		}
	}
}
