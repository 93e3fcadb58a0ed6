package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// layoutAge is how often the leaders of partitions are looked up; the answer
// comes from the transport's memory.
const layoutAge = 250 * time.Millisecond

// Where records come one by one, a broker would answer with one at a time, and
// what surrounds a record would cost far more than the record: at 2,000
// records/s five times the CPU time, measured. So a request follows the one
// before by fetchPace at least, unless that brought fewBytes.
const (
	fetchPace = 5 * time.Millisecond
	fewBytes  = 64 << 10
)

// readLoop keeps one reader running for each broker that leads owned
// partitions.
func (m *Member) readLoop(ctx context.Context) {
	stops := make(map[int32]context.CancelFunc)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	for ctx.Err() == nil {
		woken := m.wake.wait()
		leaders := m.lookUpLeaders(ctx)
		for id, stop := range stops {
			if !leaders[id] {
				stop()
				delete(stops, id)
			}
		}
		for id := range leaders {
			if stops[id] == nil {
				readerCtx, stop := context.WithCancel(ctx)
				stops[id] = stop
				readers.Go(func() { (&reader{m: m, leader: id}).run(readerCtx) })
			}
		}
		sleep(ctx, layoutAge, woken)
	}
}

// lookUpLeaders notes who leads the owned partitions. It keeps what was known
// when nothing can be learnt.
func (m *Member) lookUpLeaders(ctx context.Context) map[int32]bool {
	layout, err := m.layout(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		for _, lp := range layout.Partitions {
			p := m.owned[lp.PartitionIndex]
			if p == nil {
				continue
			}
			if lp.LeaderID < 0 {
				p.trouble = explain("looking for the leader", kafka.LeaderNotAvailable, m.o.Topic, m.o.Group)
				continue
			}
			p.leader = lp.LeaderID
		}
	}
	leaders := make(map[int32]bool)
	for _, p := range m.owned {
		if p.leader >= 0 && !p.revoked {
			leaders[p.leader] = true
		}
	}
	m.share.leaders.Store(int32(max(len(leaders), 1))) //nolint:gosec // brokers are few
	return leaders
}

// reader fetches from one leader, for all partitions that it leads.
type reader struct {
	m        *Member
	leader   int32
	turn     int   // whose partition is named first
	grow     int64 // bytes; more than usual because a batch did not fit
	failures int   // in a row
}

// wanted is a partition of a request as it was when the request was made.
type wanted struct {
	part    *partition
	reading *reading
	offset  int64
}

func (r *reader) run(ctx context.Context) {
	m := r.m
	retry := backoff{first: 50 * time.Millisecond, most: m.o.RetryInterval}
	for ctx.Err() == nil {
		woken := m.wake.wait()
		want, next := r.collect()
		if len(want) == 0 {
			sleep(ctx, next, woken)
			continue
		}
		size := r.size()
		if m.share.reserve(ctx, size) != nil {
			return
		}
		// Reserving may have taken long.
		if want, _ = r.collect(); len(want) == 0 {
			m.share.add(-size)
			continue
		}
		r.turn++
		began := time.Now()
		res, err := r.fetch(ctx, want, size)
		if err != nil {
			m.share.add(-size)
			if ctx.Err() != nil {
				return
			}
			r.failures++
			r.grow = 0
			r.failed(want, explain(fmt.Sprintf("fetching from broker %d", r.leader), err, m.o.Topic, m.o.Group))
			sleep(ctx, retry.next(), nil)
			continue
		}
		r.failures = 0
		retry.reset()
		few := len(res.answer.b) < fewBytes
		held := int64(cap(res.answer.b))
		m.share.add(held - size)
		res.answer.free = func() { m.share.add(-held) }
		m.count.bytes.Add(int64(len(res.answer.b)))
		fetches, strange := r.accept(want, res)
		res.answer.release()
		for _, h := range fetches {
			r.handOff(ctx, h)
		}
		if len(strange) > 0 {
			r.reset(ctx, strange)
		}
		pause := m.throttle(res.throttle)
		if few {
			pause = max(pause, fetchPace-time.Since(began))
		}
		sleep(ctx, pause, nil)
	}
}

// size is how much to ask for, bytes. After failures less, down to an eighth:
// on a slow line a large answer never arrives in time.
func (r *reader) size() int64 {
	size, _ := r.m.share.sizes()
	if r.grow > size {
		return r.grow
	}
	return max(size>>min(r.failures, 3), smallestFetch)
}

func (r *reader) fetch(ctx context.Context, want []wanted, size int64) (*fetchResponse, error) {
	m := r.m
	req := &fetchRequest{
		clientID: m.o.Kafka.options.ClientID, topic: m.o.Topic, leader: r.leader, take: newBuffer,
		maxWait:  int32(m.o.MaxWait.Milliseconds()), //nolint:gosec // seconds
		maxBytes: int32(size - size/16),             //nolint:gosec // at most maxKept; room for what surrounds the records
	}
	for _, w := range want {
		req.partitions = append(req.partitions, fetchPosition{partition: w.part.claim.Partition, offset: w.offset})
	}
	timeout := m.o.MaxWait + m.o.AnswerTimeout<<min(r.failures, 4)
	res, err := roundTrip[*fetchResponse](ctx, m.link, timeout, req)
	if err != nil {
		return nil, err
	}
	if res.code != 0 {
		res.answer.release()
		return nil, kafka.Error(res.code)
	}
	return res, nil
}

// collect lists what is to be fetched from this leader now, or tells how long
// there is nothing.
func (r *reader) collect() ([]wanted, time.Duration) {
	m := r.m
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.behindLocked(now) {
		return nil, m.o.CommitInterval
	}
	var want []wanted
	next := layoutAge
	for _, p := range m.owned {
		if p.leader != r.leader || p.revoked || p.position == unknown || p.handing > 0 {
			continue
		}
		if wait := p.resumeAt.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		want = append(want, wanted{part: p, reading: p.reading, offset: p.position})
	}
	slices.SortFunc(want, func(a, b wanted) int { return int(a.part.claim.Partition) - int(b.part.claim.Partition) })
	if len(want) > 1 {
		n := r.turn % len(want)
		want = slices.Concat(want[n:], want[:n])
	}
	return want, next
}

// failed notes that a request failed as a whole.
func (r *reader) failed(want []wanted, err error) {
	m := r.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range want {
		w.part.trouble = err
	}
	if r.failures == 3 { // a moved leader or a restart is over sooner
		m.log.Warn("fetching fails; trying again", "broker", r.leader, "error", err)
	}
}

// accept takes the answer apart. It returns the fetches to hand on, and the
// partitions whose position is not in the log.
func (r *reader) accept(want []wanted, res *fetchResponse) ([]handing, []wanted) {
	m := r.m
	byID := make(map[int32]wanted, len(want))
	for _, w := range want {
		byID[w.part.claim.Partition] = w
	}
	var fetches []handing
	var strange []wanted
	var notices []Notice
	now := time.Now()
	r.grow = 0
	m.mu.Lock()
	for i := range res.partitions {
		fp := &res.partitions[i]
		w, asked := byID[fp.partition]
		p := w.part
		if !asked || m.owned[fp.partition] != p || p.revoked || p.reading != w.reading || p.position != w.offset {
			continue // taken away or started anew meanwhile
		}
		if fp.code != 0 {
			switch r.refusedLocked(p, fp.code, now) {
			case offsetStrange:
				strange = append(strange, w)
			case batchStrange:
				if m.corruptLocked(p, p.position, m.codeError("fetching", fp.code)) {
					notices = append(notices, Notice{Kind: NoticeCorrupt, Partition: fp.partition, Offset: p.position, Err: p.trouble})
				}
			case retried:
			}
			continue
		}
		p.trouble = nil
		if fp.high >= 0 {
			p.high, p.watermarkAt = fp.high, now
		}
		if fp.logStart >= 0 {
			p.logStart = fp.logStart
		}
		s := surveyBatches(fp.data, w.offset, res.kept)
		m.share.met(s.largest)
		switch {
		case s.sound > 0:
			res.answer.retain()
			f := newFetch(p.claim, p.reading, res.answer, fp.data[:s.sound], w.offset, fp.high, fp.aborted, res.kept)
			fetches = append(fetches, handing{fetch: f, part: p})
			p.position = s.next
			p.handing++
		case s.err != nil:
			if m.corruptLocked(p, s.bad, s.err) {
				notices = append(notices, Notice{Kind: NoticeCorrupt, Partition: fp.partition, Offset: s.bad, Err: s.err})
			}
		case len(fp.data) > 0 && i == 0:
			r.grow = min(max(4*int64(len(fp.data)), largestFetch), maxKept) // its first batch did not fit
		}
	}
	m.mu.Unlock()
	for _, n := range notices {
		m.log.Error("batch cannot be read; its partition waits", "partition", n.Partition, "offset", n.Offset, "error", n.Err)
		m.notice(n)
	}
	return fetches, strange
}

type refusal uint8

const (
	retried refusal = iota
	offsetStrange
	batchStrange
)

// refusedLocked handles a partition's error code: most mean that its leader is
// another broker by now.
func (r *reader) refusedLocked(p *partition, code int16, now time.Time) refusal {
	m := r.m
	switch kafka.Error(code) {
	case kafka.OffsetOutOfRange:
		return offsetStrange
	case kafka.InvalidMessage, kafka.InvalidRecord:
		return batchStrange
	case kafka.TopicAuthorizationFailed:
		p.resumeAt = now.Add(m.o.RetryInterval)
	default:
		p.resumeAt = now.Add(min(200*time.Millisecond, m.o.RetryInterval))
	}
	p.trouble = m.codeError("fetching", code)
	return retried
}

// handing is a fetch on its way to the channel.
type handing struct {
	fetch *Fetch
	part  *partition
}

// handOff gives a fetch to whoever reads, once not too much is uncommitted.
func (r *reader) handOff(ctx context.Context, h handing) {
	m := r.m
	defer func() {
		m.mu.Lock()
		h.part.handing--
		m.mu.Unlock()
	}()
	for {
		woken := m.wake.wait()
		m.mu.Lock()
		behind := m.behindLocked(time.Now())
		m.mu.Unlock()
		if !behind || ctx.Err() != nil {
			break
		}
		sleep(ctx, m.o.CommitInterval, woken)
	}
	select {
	case m.fetches <- h.fetch:
	case <-ctx.Done():
		// Another reader may go on with the partition: it begins here again.
		h.fetch.Release()
	}
}
