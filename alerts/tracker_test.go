package alerts

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func key(c Cause) Key { return Key{Environment: "default", Sink: "shop", Cause: c} }

// step is one thing that happens to a tracker, and what is told because of it.
type step struct {
	after    time.Duration // since the step before
	signal   *Signal       // nil: readings
	readings []Reading
	want     string // "state cause" of each notification
}

func trouble(c Cause, lost int64) *Signal {
	return &Signal{Key: key(c), Lost: lost, Error: "503 Service Unavailable"}
}

func over(c Cause) *Signal { return &Signal{Key: key(c), Cleared: true} }

func shop(change func(*Reading)) []Reading {
	r := Reading{Environment: "default", Sink: "shop", Waiting: 70}
	if change != nil {
		change(&r)
	}
	return []Reading{r}
}

func told(all []Notification) string {
	var words []string
	for _, n := range all {
		words = append(words, string(n.State)+" "+string(n.Cause))
	}
	return strings.Join(words, ", ")
}

func TestTracker(t *testing.T) {
	well := shop(nil)
	delivers := func(at time.Duration) []Reading {
		return shop(func(r *Reading) { r.Delivered = noon.Add(at) })
	}
	opensThrice := []step{
		{0, trouble(DeliveryFailed, 0), nil, "open delivery_failed"}, {time.Minute, over(DeliveryFailed), nil, "resolved delivery_failed"},
		{time.Minute, trouble(DeliveryFailed, 0), nil, "open delivery_failed"}, {time.Minute, over(DeliveryFailed), nil, "resolved delivery_failed"},
		{time.Minute, trouble(DeliveryFailed, 0), nil, "open delivery_failed"}, {time.Minute, over(DeliveryFailed), nil, ""},
	}
	for name, steps := range map[string][]step{
		"opened once, repeated hourly, resolved": {
			{0, nil, well, ""},
			{0, trouble(DeliveryFailed, 0), nil, "open delivery_failed"},
			{time.Minute, trouble(DeliveryFailed, 0), nil, ""},
			{58 * time.Minute, nil, well, ""},
			{time.Minute, nil, well, "repeat delivery_failed"},
			{59 * time.Minute, trouble(DeliveryFailed, 0), nil, ""},
			{time.Minute, trouble(DeliveryFailed, 0), nil, "repeat delivery_failed"},
			{time.Second, over(DeliveryFailed), nil, "resolved delivery_failed"},
			{time.Second, over(DeliveryFailed), nil, ""},
			{time.Hour, nil, well, ""},
		},
		"resolved by the next delivery, not by an earlier one": {
			{time.Minute, trouble(DeliveryFailed, 0), nil, "open delivery_failed"},
			{time.Second, nil, delivers(59 * time.Second), ""},
			{time.Second, nil, shop(func(r *Reading) { r.Delivered, r.Holding = noon.Add(61*time.Second), true }), ""},
			{time.Second, nil, delivers(62 * time.Second), "resolved delivery_failed"},
		},
		"what comes late clears nothing": {
			{time.Minute, trouble(DeliveryFailed, 0), nil, "open delivery_failed"},
			{0, &Signal{Key: key(DeliveryFailed), Cleared: true, At: noon.Add(30 * time.Second)}, nil, ""},
			{0, over(DeliveryFailed), nil, "resolved delivery_failed"},
		},
		"one alert a cause": {
			{0, trouble(DeliveryFailed, 0), nil, "open delivery_failed"},
			{0, trouble(SessionsDiscarded, 5), nil, "open discarded"},
			{0, over(DeliveryFailed), nil, "resolved delivery_failed"},
		},
		"dead letters: open for as long as they come, and an hour": {
			{0, trouble(DeadLettersGrow, 1), nil, "open dead_letters"},
			{0, over(DeadLettersGrow), nil, ""},
			{59 * time.Minute, trouble(DeadLettersGrow, 2), nil, ""},
			{59 * time.Minute, nil, delivers(time.Hour), ""},
			{time.Minute, nil, well, "resolved dead_letters"},
		},
		"dead letters are told again when more came": {
			{0, trouble(DeadLettersGrow, 1), nil, "open dead_letters"},
			{50 * time.Minute, trouble(DeadLettersGrow, 1), nil, ""},
			{11 * time.Minute, trouble(DeadLettersGrow, 1), nil, "repeat dead_letters"},
		},
		"flapping: the third time it stays open until calm": append(append([]step{}, opensThrice...),
			step{time.Minute, trouble(DeliveryFailed, 0), nil, ""},
			step{time.Minute, over(DeliveryFailed), nil, ""},
			step{14 * time.Minute, nil, well, ""},
			step{time.Minute, nil, well, "resolved delivery_failed"},
		),
		"flapping is told hourly": append(append([]step{}, opensThrice...),
			step{55 * time.Minute, trouble(DeliveryFailed, 0), nil, ""},
			step{6 * time.Minute, trouble(DeliveryFailed, 0), nil, "repeat delivery_failed"},
		),
		"a sink that is gone": {
			{0, trouble(DeliveryFailed, 0), nil, "open delivery_failed"},
			{time.Second, nil, nil, "resolved delivery_failed"},
		},
		"a sink whose partitions moved to others": {
			{0, trouble(DeliveryFailed, 0), nil, "open delivery_failed"},
			{time.Second, nil, shop(func(r *Reading) { r.Idle = true }), "resolved delivery_failed"},
		},
		"out of range, each time anew, the counter started with the process": {
			{0, nil, shop(func(r *Reading) { r.OutOfRange = 1 }), "open out_of_range"},
			{30 * time.Minute, nil, shop(func(r *Reading) { r.OutOfRange = 1 }), ""},
			{20 * time.Minute, nil, shop(func(r *Reading) { r.OutOfRange = 2 }), ""},
			{time.Hour, nil, shop(func(r *Reading) { r.OutOfRange = 2 }), "resolved out_of_range"},
		},
		"unreadable while the tries count": {
			{0, nil, shop(func(r *Reading) { r.Trouble = "looking for the leader" }), ""},
			{time.Second, nil, shop(func(r *Reading) { r.Corrupt, r.Trouble = 1, "checksum" }), "open unreadable"},
			{time.Second, nil, shop(func(r *Reading) { r.Corrupt, r.Trouble = 1, "checksum" }), ""},
			{time.Second, nil, shop(func(r *Reading) { r.Corrupt = 1 }), "resolved unreadable"},
		},
		"token server": {
			{0, nil, shop(func(r *Reading) { r.TokenFails = true }), ""},
			{0, trouble(TokenServer, 0), nil, "open token_server"},
			{time.Second, nil, shop(func(r *Reading) { r.TokenFails, r.Holding = true, true }), ""},
			{time.Second, nil, well, "resolved token_server"},
		},
		"dead letters that cannot be written": {
			{0, trouble(LettersUnwritable, 0), nil, "open dead_letters_failing"},
			{time.Second, nil, shop(func(r *Reading) { r.LettersFail = true }), ""},
			{time.Second, nil, well, "resolved dead_letters_failing"},
		},
		"stopped": {
			{0, nil, shop(func(r *Reading) { r.Stopped = "fenced" }), "open stopped"},
			{time.Second, nil, well, "resolved stopped"},
		},
		"certificate": {
			{0, nil, shop(func(r *Reading) {
				r.Certificates = []Certificate{{Until: noon.Add(time.Hour), From: noon.AddDate(-1, 0, 0)}}
			}), "open certificate"},
			{time.Second, nil, well, ""}, // not looked at yet
			{time.Second, nil, shop(func(r *Reading) { r.Certificates = []Certificate{{Until: noon.AddDate(1, 0, 0), From: noon}} }), "resolved certificate"},
		},
		"retention": {
			{0, nil, shop(func(r *Reading) {
				r.Backlog = Backlog{Retention: 7 * 24 * time.Hour, Oldest: noon.Add(-6*24*time.Hour - time.Hour)}
			}), "open retention"},
			{time.Second, nil, shop(func(r *Reading) { r.Backlog = Backlog{Retention: 7 * 24 * time.Hour} }), "resolved retention"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tracker, now := NewTracker(), noon
			for i, s := range steps {
				now = now.Add(s.after)
				var got string
				if s.signal != nil {
					got = told(tracker.Take(now, *s.signal))
				} else {
					got = told(tracker.Read(now, s.readings))
				}
				if got != s.want {
					t.Fatalf("step %d: told %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

func TestNotificationSaysHowMany(t *testing.T) {
	tracker := NewTracker()
	tracker.Read(noon, shop(func(r *Reading) { r.Silent = true }))
	tracker.Take(noon, *trouble(DeadLettersGrow, 3))
	tracker.Take(noon.Add(time.Minute), Signal{Key: key(DeadLettersGrow), Lost: 4, Error: "rejected"})
	open := tracker.Open(noon.Add(time.Hour))
	if len(open) != 1 {
		t.Fatalf("%d are open", len(open))
	}
	want := Notification{Key: key(DeadLettersGrow), State: Opened, At: noon.Add(time.Hour), Since: noon, Waiting: 70, Lost: 7, Error: "rejected", Silent: true}
	if open[0] != want {
		t.Errorf("got %+v, want %+v", open[0], want)
	}
	// A second alert of that cause counts from zero.
	tracker.Read(noon.Add(2*time.Hour), shop(nil))
	if n := tracker.Take(noon.Add(3*time.Hour), *trouble(DeadLettersGrow, 1)); len(n) != 1 || n[0].Lost != 1 || n[0].State != Opened {
		t.Errorf("got %+v", n)
	}
}

// What is over leaves nothing behind, or sinks that come and go would add up.
func TestTrackerForgets(t *testing.T) {
	tracker := NewTracker()
	for i := range 100 {
		k := Key{Environment: "default", Sink: fmt.Sprint("sink-", i), Cause: DeliveryFailed}
		tracker.Take(noon, Signal{Key: k})
	}
	tracker.Read(noon, nil)
	tracker.Read(noon.Add(flapWindow), nil)
	if len(tracker.alerts)+len(tracker.readings) != 0 {
		t.Errorf("%d alerts and %d readings are left", len(tracker.alerts), len(tracker.readings))
	}
}

// TestWhatWasSkippedIsLost counts the records that Kafka deleted before they were read, until the alert is over.
func TestWhatWasSkippedIsLost(t *testing.T) {
	tracker := NewTracker()
	for _, s := range []struct {
		after               time.Duration
		outOfRange, skipped int64
		state               State
		lost                int64
	}{
		{0, 1, 40, Opened, 40},
		{time.Minute, 2, 45, "", 0},
		{2 * time.Hour, 2, 45, Resolved, 45},
		{3 * time.Hour, 1, 3, Opened, 3}, // the process was started again, and its counters with it
	} {
		told := tracker.Read(noon.Add(s.after), shop(func(r *Reading) { r.OutOfRange, r.Skipped = s.outOfRange, s.skipped }))
		switch {
		case s.state == "" && len(told) == 0:
		case len(told) != 1 || told[0].State != s.state || told[0].Lost != s.lost:
			t.Errorf("after %s: told %+v, want %q with %d lost", s.after, told, s.state, s.lost)
		}
	}
}

// The alerts of a sink that is removed are resolved; nobody hears of that who
// was not to hear of them.
func TestTrackerOfARemovedSink(t *testing.T) {
	for _, silent := range []bool{false, true} {
		tracker := NewTracker()
		tracker.Read(noon, shop(func(r *Reading) { r.Silent = silent }))
		if n := tracker.Take(noon, *trouble(DeliveryFailed, 0)); len(n) != 1 || n[0].Silent != silent {
			t.Fatalf("silent %v: %+v", silent, n)
		}
		n := tracker.Read(noon.Add(time.Minute), nil)
		if told(n) != "resolved delivery_failed" || n[0].Silent != silent {
			t.Errorf("silent %v: removed, told %+v", silent, n)
		}
		if open := tracker.Open(noon.Add(time.Minute)); len(open) != 0 {
			t.Errorf("silent %v: still open: %+v", silent, open)
		}
	}
}
