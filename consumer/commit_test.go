package consumer

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A commit that nobody answered may be carried out after a later one, so what
// was committed since is committed once more.
func TestCommitThatNobodyAnswered(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	h := start(t, testOptions(t, connect(t, c)))
	h.untilStable(1)
	offsets := make(chan int64, 100)
	c.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		offsets <- req.(*kmsg.OffsetCommitRequest).Topics[0].Partitions[0].Offset
		if len(offsets) == 1 {
			return nil, errors.New("the connection ends instead"), true
		}
		return nil, nil, false
	})
	produce(t, c, 0, numbered("a", 10))
	h.untilRecords(10)
	h.until("the first commit, the second and a repetition", func() bool { return len(offsets) >= 3 })
	h.until("committed", func() bool { return h.partitionStatus(0).Committed == 10 })
	for last := int64(0); len(offsets) > 0; {
		next := <-offsets
		if next < last {
			t.Errorf("committed %d after %d", next, last)
		}
		last = next
		if len(offsets) == 0 && last != 10 {
			t.Errorf("the last commit was of %d", last)
		}
	}
	if got := committed(t, c, 0); got != 10 {
		t.Errorf("committed %d", got)
	}
}

func TestCommittedIsDoubtedForAWhile(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sure := partition{marked: 7, committed: 7, committedAt: now}
	doubted := sure
	doubted.doubtUntil = now.Add(commitDoubt)
	waiting := doubted
	waiting.marked = 8 // is committed anyway
	none := partition{marked: unknown, committed: unknown, doubtUntil: now.Add(commitDoubt)}
	for name, tc := range map[string]struct {
		p     partition
		after time.Duration
		want  bool
	}{
		"answered":             {sure, commitRepeat, false},
		"just committed":       {doubted, commitRepeat - 1, false},
		"a while ago":          {doubted, commitRepeat, true},
		"more is to come":      {waiting, commitRepeat, false},
		"nothing is committed": {none, commitRepeat, false},
		"in the end":           {doubted, commitDoubt - 1, true},
		"later":                {doubted, commitDoubt, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.p.doubted(now.Add(tc.after)); got != tc.want {
				t.Errorf("doubted %v, want %v", got, tc.want)
			}
		})
	}
}
