package batcher

import (
	"errors"
	"testing"
	"time"

	"sessionexport/session"
)

func TestLeavesAtTheLastSession(t *testing.T) {
	f := feed(lines{}, Limits{})
	for range DefaultSessions - 1 {
		f.add(sized(10))
	}
	if f.Ready() != 0 {
		t.Fatal("a batch of 999 sessions left")
	}
	last := f.add(sized(10))
	b := f.Take()
	if b == nil || b.Trigger != BySessions || len(b.Items) != DefaultSessions || b.Seq != last {
		t.Fatalf("the thousandth session made %+v", b)
	}
	if n, size, _ := f.Filling(); n != 0 || size != 0 {
		t.Errorf("%d sessions in %d bytes are left behind", n, size)
	}
}

// The body may have exactly 896,000 bytes, framing included, and not one more.
func TestLeavesBeforeTheLimitIsPassed(t *testing.T) {
	for _, tc := range []struct {
		name        string
		enc         lines
		first, next int // bytes of the frames
		together    bool
	}{
		{"exactly the limit", lines{}, 800_000, 96_000, true},
		{"one byte more", lines{}, 800_000, 96_001, false},
		{"action lines count", lines{head: "0123456789"}, 800_000, 95_990, false},
		{"and are counted once", lines{head: "0123456789"}, 800_000 - 10, 96_000 - 10, true},
		{"enclosing bytes count", lines{encl: 1}, 800_000, 96_000, false},
		{"and fit when there is room", lines{encl: 1}, 800_000, 95_999, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := feed(tc.enc, Limits{})
			one := f.add(sized(tc.first))
			two := f.add(sized(tc.next))
			if (one == two) != tc.together {
				t.Fatalf("the sessions are in batches %d and %d", one, two)
			}
			b := f.Take()
			if tc.together {
				if b != nil {
					t.Fatalf("left by %s although it fits", b.Trigger)
				}
				n, size, _ := f.Filling()
				if n != 2 || size+tc.enc.encl != DefaultBytes {
					t.Errorf("%d sessions in %d bytes", n, size)
				}
				f.add(sized(2)) // the smallest frame does not fit any more
				if b = f.Take(); b == nil || len(b.Body)+tc.enc.encl != DefaultBytes {
					t.Error("a full body did not leave")
				}
				return
			}
			if b == nil || b.Trigger != ByBytes || len(b.Items) != 1 || b.Seq != one {
				t.Fatalf("left %+v", b)
			}
			n, size, _ := f.Filling()
			if want := len(tc.enc.head) + tc.next; n != 1 || size != want {
				t.Errorf("%d sessions in %d bytes wait, want 1 in %d", n, size, want)
			}
		})
	}
}

func TestLargeSessionTravelsAlone(t *testing.T) {
	for _, before := range []int{0, 1} {
		f := feed(lines{}, Limits{Bytes: 2000})
		for range before {
			f.add(sized(100))
		}
		f.add(sized(2001))
		f.add(sized(100))
		if before == 1 {
			if b := f.Take(); b == nil || len(b.Items) != 1 || len(b.Body) != 100 || b.Trigger != ByBytes {
				t.Fatalf("before it left %+v", b)
			}
		}
		b := f.Take()
		if b == nil || len(b.Items) != 1 || len(b.Body) != 2001 || b.Trigger != ByBytes {
			t.Fatalf("alone left %+v", b)
		}
		if n, size, _ := f.Filling(); n != 1 || size != 100 || f.Ready() != 0 {
			t.Errorf("behind it wait %d sessions in %d bytes, %d batches", n, size, f.Ready())
		}
	}
}

func TestLeavesWhenIdle(t *testing.T) {
	f := feed(lines{}, Limits{})
	f.add(sized(10))
	f.after(20 * time.Second).add(sized(10)) // every session starts the wait anew
	if want := f.now.Add(30 * time.Second); !f.Deadline().Equal(want) {
		t.Fatalf("due at %v, want %v", f.Deadline(), want)
	}
	f.Due(f.now.Add(29*time.Second + 999*time.Millisecond))
	if f.Ready() != 0 {
		t.Fatal("29.999 s flushed")
	}
	f.Due(f.now.Add(30 * time.Second))
	b := f.Take()
	if b == nil || b.Trigger != ByIdle || len(b.Items) != 2 {
		t.Fatalf("30 s made %+v", b)
	}
	if !f.Deadline().IsZero() {
		t.Error("an empty batch has a deadline")
	}
	f.Due(f.now.Add(time.Hour))
	if f.Ready() != 0 {
		t.Error("an empty batch left")
	}
}

// A trickle never lets a batch idle; it leaves at its age.
func TestLeavesAtItsAge(t *testing.T) {
	f := feed(lines{}, Limits{})
	opened := f.now
	for f.now.Before(opened.Add(DefaultAge - 20*time.Second)) {
		f.add(sized(10))
		f.after(20 * time.Second).Due(f.now)
	}
	f.add(sized(10))
	if f.Ready() != 0 {
		t.Fatal("left early")
	}
	if want := opened.Add(DefaultAge); !f.Deadline().Equal(want) {
		t.Fatalf("due at %v, want %v", f.Deadline(), want)
	}
	f.Due(opened.Add(DefaultAge - time.Millisecond))
	if f.Ready() != 0 {
		t.Fatal("left a millisecond before its age")
	}
	f.Due(opened.Add(DefaultAge))
	b := f.Take()
	if b == nil || b.Trigger != ByAge || len(b.Items) != 15 || !b.Opened.Equal(opened) || b.Oldest != opened.UnixMilli() {
		t.Fatalf("left %+v", b)
	}
	f.now = opened.Add(DefaultAge)
	f.add(sized(10))
	if want := f.now.Add(DefaultIdle); !f.Deadline().Equal(want) {
		t.Error("the next batch inherited the age")
	}
}

// A refused session changes nothing, wherever in a batch it comes.
func TestRefusedSessionChangesNothing(t *testing.T) {
	f := feed(lines{head: "head "}, Limits{Sessions: 3})
	bad := &session.Session{Value: []byte("!")}
	for range 3 {
		n, size, oldest := f.Filling()
		deadline := f.Deadline()
		if _, err := f.Add(f.now.Add(time.Second), bad, session.Position{}, 1); !errors.Is(err, errRefused) {
			t.Fatalf("error %v", err)
		}
		n2, size2, oldest2 := f.Filling()
		if n != n2 || size != size2 || oldest != oldest2 || !f.Deadline().Equal(deadline) {
			t.Fatal("the filling batch changed")
		}
		f.add(sized(10))
	}
	if b := f.Take(); b == nil || len(b.Items) != 3 || len(b.Body) != 3*15 {
		t.Errorf("left %+v", b)
	}
}

func TestLearnedLimit(t *testing.T) {
	f := feed(lines{}, Limits{Bytes: 10_000})
	f.SetLimit(1000)
	if f.Limit() != 1000 {
		t.Fatalf("limit %d", f.Limit())
	}
	f.add(sized(600))
	f.add(sized(400))
	if f.Ready() != 0 {
		t.Fatal("exactly the learned limit does not fit")
	}
	f.add(sized(2))
	if b := f.Take(); b == nil || len(b.Body) != 1000 || b.Trigger != ByBytes {
		t.Fatalf("left %+v", b)
	}
	f.SetLimit(50_000)
	if f.Limit() != 10_000 {
		t.Errorf("raised to %d, above the configured limit", f.Limit())
	}
	f.SetLimit(-1)
	if f.Limit() != 1 {
		t.Errorf("limit %d", f.Limit())
	}
	f.add(sized(5)) // everything is larger than one byte and travels alone
	for _, want := range []int{2, 5} {
		if b := f.Take(); b == nil || len(b.Items) != 1 || len(b.Body) != want {
			t.Errorf("left %+v, want %d bytes", b, want)
		}
	}
}

func TestPeekAndOrder(t *testing.T) {
	f := feed(lines{}, Limits{Sessions: 1})
	if f.Peek() != nil || f.Take() != nil {
		t.Fatal("a batch out of nothing")
	}
	for range 3 {
		f.add(sized(5))
	}
	for seq := uint64(1); seq <= 3; seq++ {
		if p, b := f.Peek(), f.Take(); p != b || b.Seq != seq {
			t.Fatalf("batch %d came at %d", b.Seq, seq)
		}
	}
}
