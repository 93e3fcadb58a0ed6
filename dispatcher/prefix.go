package dispatcher

// prefix keeps, per partition, how far everything is finished: the position
// that may be committed. Sessions finish out of order when several batches are
// on their way; a position moves only over a gapless run of finished ones.
//
//	partition 3:  ─── committed ───┤ batch 7 ✓ │ batch 8 … │ batch 9 ✓ │ reading
//	                               └──────────▶ up to here may be committed
//
// It is pure: no goroutine, no clock.
type prefix struct {
	parts map[int32]*run
}

// run is one ownership of one partition.
type run struct {
	epoch uint32
	open  []stretch // in offset order; the first may be open, finished ones behind it wait
	next  int64     // everything below is finished; -1: nothing yet
	told  int64     // the latest next that was marked
}

// stretch is consecutive sessions of one owner (a batch or a dead letter),
// with the skipped records behind them.
type stretch struct {
	owner uint64
	next  int64
	done  bool
}

func newPrefix() *prefix { return &prefix{parts: map[int32]*run{}} }

// own returns the partition's run, a new one when the epoch is new.
func (p *prefix) own(partition int32, epoch uint32) *run {
	r := p.parts[partition]
	if r == nil || r.epoch != epoch {
		r = &run{epoch: epoch, next: -1, told: -1}
		p.parts[partition] = r
	}
	return r
}

// newer tells whether a later ownership of the partition has begun: a fetch of
// an earlier one must not take its place.
func (p *prefix) newer(partition int32, epoch uint32) bool {
	r := p.parts[partition]
	return r != nil && r.epoch > epoch
}

// drop forgets a partition that was revoked or lost.
func (p *prefix) drop(partition int32, epoch uint32) {
	if r := p.parts[partition]; r != nil && r.epoch == epoch {
		delete(p.parts, partition)
	}
}

// add notes that the session before next belongs to owner, and that all
// records in front of it that were not added are nobody's.
func (r *run) add(owner uint64, next int64) {
	if len(r.open) == 0 {
		r.next = max(r.next, next-1)
	}
	if n := len(r.open); n > 0 && r.open[n-1].owner == owner && !r.open[n-1].done {
		r.open[n-1].next = next
		return
	}
	r.open = append(r.open, stretch{owner: owner, next: next})
}

// skip notes that everything below next that was not added is nobody's: out of
// scope, a tombstone, aborted. It moves with what is in front of it.
func (r *run) skip(next int64) {
	if n := len(r.open); n > 0 {
		r.open[n-1].next = max(r.open[n-1].next, next)
		return
	}
	r.next = max(r.next, next)
}

// finish closes all stretches of owner and calls moved for each partition
// whose position moved.
func (p *prefix) finish(owner uint64, moved func(partition int32, epoch uint32, next int64)) {
	for partition, r := range p.parts {
		hit := false
		for i := range r.open {
			if r.open[i].owner == owner {
				r.open[i].done, hit = true, true
			}
		}
		if !hit || !r.open[0].done {
			continue
		}
		i := 0
		for i < len(r.open) && r.open[i].done {
			r.next = max(r.next, r.open[i].next)
			i++
		}
		r.open = r.open[:copy(r.open, r.open[i:])]
		r.told = r.next
		moved(partition, r.epoch, r.next)
	}
}

// abandon forgets owner's sessions of a partition and all behind them: they
// are read again by whoever owns the partition next.
func (p *prefix) abandon(partition int32, epoch uint32, owner uint64) {
	r := p.parts[partition]
	if r == nil || r.epoch != epoch {
		return
	}
	for i := range r.open {
		if r.open[i].owner == owner {
			r.open = r.open[:i]
			return
		}
	}
}
