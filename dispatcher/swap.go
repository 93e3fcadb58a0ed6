package dispatcher

import (
	"context"
	"time"
)

// swap is other settings on their way.
type swap struct {
	o       Options
	inForce chan struct{}
}

// Swap brings other settings into force between two batches: no attempt starts
// any more, and when those on the wire have ended, everything that waits goes
// on under the new settings. Environment, Sink, Topic, Source, Letters and
// Observe stay. It returns true once they are in force, false when Run has
// returned before. One Swap at a time.
func (p *Pipeline) Swap(o Options) bool {
	s := &swap{o: o.withDefaults(), inForce: make(chan struct{})}
	ok := p.call(func() {
		p.swap, p.m.changing = s, true
		select {
		case <-p.started:
		default:
			p.checkSwap()
		}
	})
	if !ok {
		return false
	}
	select {
	case <-s.inForce:
		return true
	case <-p.done:
		return false
	}
}

// checkSwap does what Swap asked for when nothing is on the wire any more.
func (p *Pipeline) checkSwap() {
	if p.swap == nil || p.m.wires > 0 {
		return
	}
	o, inForce := p.swap.o, p.swap.inForce
	p.swap = nil
	p.o.Format, p.o.Endpoint, p.o.DropToken, p.o.Zone = o.Format, o.Endpoint, o.DropToken, o.Zone
	p.o.Policy, p.o.Limits, p.o.MaxInFlight, p.o.MaxRetries = o.Policy, o.Limits, o.MaxInFlight, o.MaxRetries
	p.o.InitialBackoff, p.o.MaxBackoff = o.InitialBackoff, o.MaxBackoff
	p.results = p.o.results()
	p.m.swap(time.Now(), p.o.rules(), p.o.Format)
	close(inForce)
}

// Drain begins a graceful end of a sink whose group goes on, as when it is
// disabled: no record is read any more, and it returns when nothing is left that
// would have to be sent again, the destination takes nothing more, or ctx is
// done. Stop follows.
func (p *Pipeline) Drain(ctx context.Context) {
	if !p.call(p.m.drain) {
		return
	}
	select {
	case <-p.drained:
	case <-p.done:
	case <-ctx.Done():
	}
}
