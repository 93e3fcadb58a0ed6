package deadletter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionexport/consumer"
)

// line is a pipeline that does what a test says with each letter, one fetch
// after the other.
type line struct {
	r    *Redrive
	fail func(offset int64) *Letter // what is written of a session that fails again; nil: delivered
	sent []string                   // bodies
	most int                        // dies after so many; 0: never
}

// work takes fetches until ctx is done, or it dies.
func (p *line) work(ctx context.Context) {
	for {
		select {
		case f := <-p.r.Fetches():
			var rec consumer.Record
			for f.Next(&rec) {
				p.sent = append(p.sent, string(rec.Value))
				if p.fail != nil {
					if l := p.fail(int64(len(p.sent))); l != nil {
						l.Source = Source{Topic: topicName, Partition: f.Claim().Partition, Offset: rec.Offset}
						l.Body = slices.Clone(rec.Value)
						if p.r.Write(ctx, []Letter{*l}) != nil {
							return
						}
					}
				}
				if p.most > 0 && len(p.sent) == p.most {
					return // delivered, and nobody was told
				}
			}
			p.r.Mark(f.Claim(), f.Position())
			f.Release()
		case <-ctx.Done():
			return
		}
	}
}

// run redrives all letters through the line.
func (p *line) run(t *testing.T, s *stored, o RedriveOptions) error {
	t.Helper()
	o.Topic, o.Letters = s.topic, s.snapshot()
	p.r = NewRedrive(o)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.work(ctx)
		stop()
	}()
	err := p.r.Run(ctx)
	stop()
	<-done
	return errors.Join(err, p.r.Flush(t.Context()))
}

func TestRedriveEndsWhatWasDelivered(t *testing.T) {
	s := store(t)
	all := letters(700, 30)
	all[7].Body, all[7].BodyOmitted, all[7].BodySize = nil, true, 9999
	all[8].Body, all[8].BodySize = []byte("not for this sink"), 17
	s.write(all...)
	var p line
	err := p.run(t, s, RedriveOptions{InScope: func(b []byte) bool { return !strings.Contains(string(b), "not for") }})
	if err != nil {
		t.Fatal(err)
	}
	want := RedriveCounts{Chosen: 700, Delivered: 698, OutOfScope: 1, WithoutBody: 1}
	if got := p.r.Counts(); got != want || got.Left() != 0 {
		t.Errorf("counts %+v", got)
	}
	if bare := p.r.Bare(); len(bare) != 1 || bare[0] != all[7].Source {
		t.Errorf("without a body: %v", bare)
	}
	left := s.living()
	if len(left) != 2 || len(p.sent) != 698 {
		t.Errorf("%d letters are left, %d were sent", len(left), len(p.sent))
	}
	for _, i := range []int{7, 8} {
		if _, ok := left[all[i].ID().String()]; !ok {
			t.Errorf("letter %d is gone", i)
		}
	}
}

func TestRedriveKeepsTheHistory(t *testing.T) {
	s := store(t)
	all := letters(3, 30)
	all[1].Kind, all[1].Reason, all[1].Error = "undelivered", "timeout", "Request timeout"
	s.write(all...)
	later := all[0].Last.Add(24 * time.Hour)
	p := line{fail: func(int64) *Letter {
		return &Letter{Environment: "default", Sink: "shop-lines", Kind: undelivered, Reason: "reset", Status: 0,
			Error: "connection reset", Attempts: 4, First: later, Last: later.Add(time.Minute), Format: "ndjson"}
	}}
	for range 2 {
		if err := p.run(t, s, RedriveOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := p.r.Counts(); got != (RedriveCounts{Chosen: 3, Again: 3}) {
			t.Errorf("counts %+v", got)
		}
	}
	left := s.living()
	if len(left) != 3 {
		t.Fatalf("%d letters", len(left))
	}
	for i := range all {
		l := left[all[i].ID().String()]
		if l.Attempts != 12 || !l.First.Equal(all[i].First) || !l.Last.Equal(later.Add(time.Minute)) ||
			l.Source != all[i].Source || string(l.Body) != string(all[i].Body) {
			t.Errorf("letter %d: %+v", i, l)
		}
		want := Letter{Kind: "rejected", Reason: "status", Status: 400, Error: all[i].Error + "; sent again: connection reset"}
		if i == 1 { // the destination was to blame the first time as well
			want = Letter{Kind: undelivered, Reason: "reset", Error: "connection reset"}
		}
		if l.Kind != want.Kind || l.Reason != want.Reason || l.Status != want.Status || l.Error != want.Error {
			t.Errorf("letter %d: %s, %s, %d, %q", i, l.Kind, l.Reason, l.Status, l.Error)
		}
	}
}

func TestAgainTakesTheNewCauseOfTheSession(t *testing.T) {
	old, now := sample(), sample()
	now.Kind, now.Reason, now.Status, now.Error, now.Attempts = "poison", "reset", 0, "reset", 3
	now.First, now.Last = time.Time{}, time.Time{}
	got := again(&old, &now)
	if got.Kind != "poison" || got.Error != "reset" || got.Status != 0 || got.Attempts != 7 || got.First != old.First || got.Last != old.Last {
		t.Errorf("%+v", got)
	}
	old.Error, now.Kind = strings.Repeat("é", 600), undelivered
	got = again(&old, &now)
	if m := shorten(got.Error); !strings.HasSuffix(m, sentAgain+"reset") {
		t.Errorf("the new cause is lost: %q", m)
	}
}

// A process dies after the endpoint took letters and before anybody was told.
// The next run sends what is left and that once more, and nothing else.
func TestRedriveResumesAfterACrash(t *testing.T) {
	s := store(t)
	all := letters(1500, 40)
	for i := range all {
		all[i].Body = append(all[i].Body, all[i].ID().String()...)
		all[i].BodySize = len(all[i].Body)
	}
	s.write(all...)
	first := line{most: 800}
	if err := first.run(t, s, RedriveOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	ended := first.r.Counts().Delivered
	if ended == 0 || ended >= 800 || int64(len(s.living())) != 1500-ended {
		t.Fatalf("%d ended, %d are left", ended, len(s.living()))
	}
	var second line
	if err := second.run(t, s, RedriveOptions{}); err != nil {
		t.Fatal(err)
	}
	if left := s.living(); len(left) != 0 {
		t.Errorf("%d letters are left", len(left))
	}
	times := map[string]int{}
	for _, body := range slices.Concat(first.sent, second.sent) {
		times[body]++
	}
	twice := 0
	for i := range all {
		switch times[string(all[i].Body)] {
		case 1:
		case 2:
			twice++
		default:
			t.Errorf("letter %d was sent %d times", i, times[string(all[i].Body)])
		}
	}
	if int64(twice) != 800-ended || twice > redriveAtOnce {
		t.Errorf("%d were sent twice, %d were delivered and not ended", twice, 800-ended)
	}
}

// What the endpoint took and the broker does not let end is an error, and
// stays.
func TestRedriveWithoutTombstones(t *testing.T) {
	s := store(t)
	s.write(letters(10, 10)...)
	c := s.cluster
	c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return produceAnswer(r.(*kmsg.ProduceRequest), kerr.TopicAuthorizationFailed.Code), nil, true
	})
	var p line
	err := p.run(t, s, RedriveOptions{})
	if kindOf(t, err) != Forbidden {
		t.Errorf("error %v", err)
	}
	if got := p.r.Counts(); got.Delivered != 0 || got.Left() != 10 || len(s.living()) != 10 {
		t.Errorf("counts %+v", got)
	}
}

func TestRedriveRefusesWhatItDidNotHandOut(t *testing.T) {
	s := store(t)
	s.write(letters(1, 10)...)
	r := NewRedrive(RedriveOptions{Topic: s.topic, Letters: s.snapshot()})
	if err := r.Write(t.Context(), letters(1, 10)); kindOf(t, err) != Refused || !errors.Is(err, errNotHanded) {
		t.Errorf("error %v", err)
	}
}
