package dispatcher

import (
	"time"

	"sessionexport/batcher"
	"sessionexport/consumer"
	"sessionexport/session"
)

// leave begins to give partitions back. What is on the wire of them ends
// first; everything else of them is dropped at once, to be read again by
// whoever owns them next. left tells when nothing of them is on the wire.
func (m *machine) leave(now time.Time, claims []consumer.Claim) {
	for _, c := range claims {
		m.leaving[c] = true
	}
	m.cut()
	m.finish()
	m.tick(now)
}

// lose forgets partitions that are somebody else's already: nothing of them is
// marked any more.
func (m *machine) lose(now time.Time, claims []consumer.Claim) {
	for _, c := range claims {
		m.prefix.drop(c.Partition, c.Epoch)
	}
	m.leave(now, claims)
}

// left reports whether nothing of the partitions is on the wire or becoming a
// dead letter any more; then they are forgotten.
func (m *machine) left(claims []consumer.Claim) bool {
	mine := func(p session.Position) bool {
		for _, c := range claims {
			if c.Partition == p.Partition && c.Epoch == p.Epoch {
				return true
			}
		}
		return false
	}
	if m.letters.writes(mine) {
		return false
	}
	for _, d := range m.queue {
		if d.wire == nil {
			continue
		}
		for i := range d.wire.piece.len() {
			if mine(d.batch.Items[d.wire.piece.at(i)].Pos) {
				return false
			}
		}
	}
	for _, c := range claims {
		m.prefix.drop(c.Partition, c.Epoch)
		delete(m.leaving, c)
		m.gone[c.Partition] = max(m.gone[c.Partition], c.Epoch)
	}
	return true
}

// cut drops everything of leaving partitions that is not on the wire.
func (m *machine) cut() {
	if len(m.leaving) == 0 {
		return
	}
	gone := func(p session.Position) bool {
		return m.leaving[consumer.Claim{Partition: p.Partition, Epoch: p.Epoch}]
	}
	back := func(owner uint64, p session.Position) {
		m.prefix.abandon(p.Partition, p.Epoch, owner)
		m.counts.partition(p.Partition).HandedBack++
	}
	m.batcher.Cut(gone, func(seq uint64, it batcher.Item) { back(seq, it.Pos) })
	for _, d := range m.queue {
		d.cut(gone, func(it batcher.Item) { back(d.batch.Seq, it.Pos) })
	}
	m.letters.cut(gone, func(j letterJob) {
		owner := j.owner
		if j.d != nil {
			owner = j.d.batch.Seq
		}
		back(owner, j.pos)
	})
}

// stop begins the end: no record is read, no attempt starts. idle tells when
// the last attempt and the last write of dead letters have ended.
func (m *machine) stop() { m.stopping = true }

func (m *machine) idle() bool { return m.wires == 0 && len(m.letters.writing) == 0 }
