package consumer

import (
	"time"
)

// unknown is an offset that nobody has told yet.
const unknown = -1

// partition is what a member knows about a partition it owns. It is guarded by
// the member's mutex.
type partition struct {
	uncommittedSince time.Time
	committedAt      time.Time
	doubtUntil       time.Time // an unanswered commit may be carried out until then
	resumeAt         time.Time // not fetched before
	watermarkAt      time.Time // when high was learnt
	trouble          error     // why it is not read at present
	reading          *reading
	position         int64 // what is fetched next; unknown until it is resolved
	marked           int64
	committed        int64
	high             int64
	logStart         int64
	corruptAt        int64 // offset of the last batch that was reported as unreadable
	claim            Claim
	leader           int32
	handing          int  // fetches on their way to the channel: the next one must not overtake them
	revoked          bool // let go of: neither fetched nor handed on
}

// claimLocked starts an ownership.
func (m *Member) claimLocked(p int32) *partition {
	m.epochs[p]++
	part := &partition{
		claim: Claim{Partition: p, Epoch: m.epochs[p]}, leader: -1,
		position: unknown, marked: unknown, committed: unknown, high: unknown, logStart: unknown, corruptAt: unknown,
	}
	m.readLocked(part)
	m.owned[p] = part
	return part
}

// readLocked starts a stretch of reading.
func (m *Member) readLocked(p *partition) {
	claim := p.claim
	var r *reading
	r = newReading(&m.count, func(offset int64, err error) { m.stopped(claim, r, offset, err) })
	p.reading = r
}

// stopped is told by a fetch that it could not be read on, or was given up
// half-read: the partition is read again from there.
func (m *Member) stopped(claim Claim, r *reading, offset int64, err error) {
	m.mu.Lock()
	p := m.owned[claim.Partition]
	if p == nil || p.claim != claim || p.revoked || (p.reading != r && offset >= p.reading.begin) {
		m.mu.Unlock()
		return
	}
	p.reading.stop()
	m.readLocked(p)
	p.position, p.reading.begin = offset, offset
	first := false
	if err != nil {
		first = m.corruptLocked(p, offset, err)
	}
	m.mu.Unlock()
	if first {
		m.notice(Notice{Kind: NoticeCorrupt, Partition: claim.Partition, Offset: offset, Err: err})
	}
	m.wake.broadcast()
}

// corruptLocked makes a partition wait at a batch that cannot be read, and
// tells whether that is news.
func (m *Member) corruptLocked(p *partition, offset int64, err error) bool {
	m.count.corrupt.Add(1)
	p.resumeAt = time.Now().Add(m.o.CorruptRetry)
	p.trouble = err
	first := p.corruptAt != offset
	p.corruptAt = offset
	return first
}

// ownedClaimsLocked lists what is owned.
func (m *Member) ownedClaimsLocked() []Claim {
	claims := make([]Claim, 0, len(m.owned))
	for _, p := range m.owned {
		claims = append(claims, p.claim)
	}
	sortClaims(claims)
	return claims
}

// dropLocked ends the ownership of claims, unless they have a new one already.
func (m *Member) dropLocked(claims []Claim) {
	for _, c := range claims {
		if p := m.owned[c.Partition]; p != nil && p.claim == c {
			p.reading.stop()
			delete(m.owned, c.Partition)
		}
	}
}

// Mark tells up to which offset everything of a claim is finished: next is
// the first that is not. It is cheap, and ignored for a claim that is no
// longer owned or a position that is behind the last one.
func (m *Member) Mark(c Claim, next int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.owned[c.Partition]
	if p == nil || p.claim != c || next <= p.marked {
		return
	}
	p.marked = next
	if p.uncommittedSince.IsZero() {
		p.uncommittedSince = time.Now()
	}
}
