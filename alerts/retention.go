package alerts

import (
	"fmt"
	"slices"
	"time"
)

const (
	// retentionWarn is the least time left that needs no alert; of a short
	// retention it is a quarter.
	retentionWarn = 24 * time.Hour

	// paceWindow is how far back the pace of deletion is measured. Kafka
	// deletes whole segments, so that a shorter look sees nothing or a leap.
	paceWindow = 6 * time.Hour
)

// Backlog is what a sink has before it, and what Kafka does with its topic.
type Backlog struct {
	Retention time.Duration // retention.ms; 0: not known, or records are kept for ever
	Oldest    time.Time     // timestamp of the oldest session that waits; zero without one
	Bounded   bool          // retention.bytes is set
	Left      []Left        // of the partitions that this instance reads
}

// Left is how far deletion is from what a sink has not committed.
type Left struct {
	Partition int32
	Start     int64 // first offset of the log
	Committed int64 // offset that is delivered next
	End       int64 // the offset after the last record
	// Pace is how many offsets the start advances in a second; 0 while it
	// stands still, or is not known yet.
	Pace float64
	Leap int64 // the largest advance that was seen at once
}

func (b *Backlog) known() bool { return b.Retention > 0 || b.Bounded }

// danger says when the first undelivered session may be deleted, when that is
// soon. By age it is a bound from below: a segment is deleted when its newest
// record is too old. By size it is an estimate from the pace of deletion.
func (b *Backlog) danger(now time.Time) (until time.Time, text string, near bool) {
	if b.Retention > 0 && !b.Oldest.IsZero() {
		end := b.Oldest.Add(b.Retention)
		if end.Sub(now) < min(retentionWarn, b.Retention/4) {
			until, near = end, true
			text = fmt.Sprintf("the oldest undelivered session is %s old, and the topic keeps records for %s",
				rough(now.Sub(b.Oldest)), rough(b.Retention))
		}
	}
	if !b.Bounded {
		return until, text, near
	}
	for _, l := range b.Left {
		distance := l.Committed - l.Start
		if l.Pace <= 0 || l.Committed >= l.End || distance < 0 {
			continue
		}
		// The next segment to go may reach beyond the committed position.
		end := now.Add(time.Duration(min(float64(distance)/l.Pace, retentionWarn.Seconds()*2) * float64(time.Second)))
		if end.Sub(now) >= retentionWarn && distance > l.Leap {
			continue
		}
		if near && !end.Before(until) {
			continue
		}
		until, near = end, true
		text = fmt.Sprintf("the topic keeps a number of bytes (retention.bytes), and in partition %d deletion is %d records behind what is not delivered",
			l.Partition, distance)
	}
	return until, text, near
}

// rough renders a duration for people.
func rough(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	default:
		return fmt.Sprintf("%d seconds", int(max(d, 0).Seconds()))
	}
}

// Pacer measures how fast the starts of a topic's partitions advance.
type Pacer struct {
	seen map[int32][]start
}

type start struct {
	at     time.Time
	offset int64
}

// See takes the first offset of a partition. What did not change is not kept,
// so that a partition costs a few entries.
func (p *Pacer) See(now time.Time, partition int32, offset int64) {
	if p.seen == nil {
		p.seen = map[int32][]start{}
	}
	all := p.seen[partition]
	if n := len(all); n > 0 {
		switch {
		case offset == all[n-1].offset:
			return
		case offset < all[n-1].offset: // the topic was made anew
			all = nil
		}
	}
	all = append(all, start{at: now, offset: offset})
	for len(all) > 2 && now.Sub(all[1].at) > paceWindow {
		all = slices.Delete(all, 0, 1)
	}
	p.seen[partition] = all
}

// Pace returns how many offsets the start of a partition advances in a second,
// and its largest leap.
func (p *Pacer) Pace(now time.Time, partition int32) (pace float64, leap int64) {
	all := p.seen[partition]
	if len(all) < 2 {
		return 0, 0
	}
	for i := 1; i < len(all); i++ {
		leap = max(leap, all[i].offset-all[i-1].offset)
	}
	first := all[0]
	elapsed := now.Sub(first.at).Seconds()
	if elapsed <= 0 {
		return 0, leap
	}
	return float64(all[len(all)-1].offset-first.offset) / elapsed, leap
}
