package dispatcher

import (
	"fmt"
	"slices"

	"sessionexport/egress"
	"sessionexport/settings"
)

// plan is what shall run in a slot: the settings, and what was built of them.
type plan struct {
	env    *settings.Environment
	export *settings.Export
	group  string
	built  *Outgoing
	taken  bool // a work has it, and closes it

	key    string // two are the same when nothing differs
	anchor string // two are the same when the group's member may stay
}

func (p *plan) discard() {
	if !p.taken && p.built != nil {
		p.built.Close()
		p.taken = true
	}
}

// Change is what another configuration asks of a manager: built, and not in
// force before Apply.
type Change struct {
	m     *Manager
	plans map[string]*plan // built: nil where nothing differs
	idle  []idleSink
}

type idleSink struct{ id, topic, group string }

// Difference is what a change does to the sinks, by their ids, sorted.
type Difference struct {
	Started   []string // that did not run
	Changed   []string // whose settings are swapped between two batches
	Restarted []string // whose topic, start or place in the group changes
	Stopped   []string // removed or disabled
	Unchanged int
}

// Prepare builds everything of a configuration that can fail, for the sinks
// that it changes. Nothing that runs notices. Apply or Discard follows.
func (m *Manager) Prepare(file *settings.File) (*Change, error) {
	rules := egress.Rules{Allow: file.Egress.Allow, Deny: file.Egress.Deny}
	c := &Change{m: m, plans: map[string]*plan{}}
	for i := range file.Environments {
		env := &file.Environments[i]
		for k := range env.Exports {
			e := &env.Exports[k]
			group := m.kafka.Group(e.ID)
			if !e.Enabled() {
				c.idle = append(c.idle, idleSink{id: e.ID, topic: env.Topic, group: group})
				continue
			}
			revoke, _ := patience(e.Custom.RequestTimeout)
			p := &plan{
				env: env, export: e, group: group,
				key:    fmt.Sprintf("%s %q %q %v %v", e.Fingerprint(), env.ID, env.Topic, rules.Allow, rules.Deny),
				anchor: fmt.Sprintf("%q %q %s %s", env.ID, env.Topic, revoke, e.Custom.StartFrom),
			}
			c.plans[e.ID] = p
			if m.runs(e.ID, p.key) {
				continue
			}
			var err error
			p.built, err = NewOutgoing(OutgoingOptions{
				Export: e, Rules: rules, Version: m.o.Version, Logger: m.o.Logger.With("environment", env.ID, "sink", e.ID),
			})
			if err != nil {
				c.Discard()
				return nil, err
			}
		}
	}
	return c, nil
}

// runs tells whether a sink runs, or shall, with settings that do not differ.
// One that stopped for good does not: a reload is what starts it again.
func (m *Manager) runs(id, key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.slots[id]
	return s != nil && s.want != nil && s.want.key == key && (s.run == nil || s.run.ended() == nil)
}

// Discard gives back what was built; nothing changes.
func (c *Change) Discard() {
	for _, p := range c.plans {
		p.discard()
	}
}

// Apply brings the change into force and returns at once; sinks start, swap and
// stop on their own. Without effect once the manager ends.
func (c *Change) Apply() Difference {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	var d Difference
	if m.ending {
		c.Discard()
		return d
	}
	for id, p := range c.plans {
		s := m.slotLocked(id)
		s.idle = false
		switch {
		case p.built == nil && s.want != nil:
			d.Unchanged++
			continue
		case s.want == nil:
			d.Started = append(d.Started, id)
		case s.want.anchor != p.anchor, s.run != nil && s.run.ended() != nil:
			d.Restarted = append(d.Restarted, id)
		default:
			d.Changed = append(d.Changed, id)
		}
		m.setLocked(s, p)
	}
	for _, i := range c.idle {
		s := m.slotLocked(i.id)
		s.idle, s.topic, s.group = true, i.topic, i.group
	}
	for id, s := range m.slots {
		if c.plans[id] != nil {
			continue
		}
		s.idle = slices.ContainsFunc(c.idle, func(i idleSink) bool { return i.id == id })
		if s.want != nil {
			d.Stopped = append(d.Stopped, id)
			m.setLocked(s, nil)
		} else if !s.idle && s.run == nil && !s.busy {
			delete(m.slots, id)
		}
	}
	for _, ids := range [][]string{d.Started, d.Changed, d.Restarted, d.Stopped} {
		slices.Sort(ids)
	}
	return d
}

func (m *Manager) slotLocked(id string) *slot {
	s := m.slots[id]
	if s == nil {
		s = &slot{m: m, id: id, leaveKept: func() {}}
		m.slots[id] = s
	}
	return s
}

// setLocked makes a plan the one that counts.
func (m *Manager) setLocked(s *slot, p *plan) {
	if s.want != nil {
		s.want.discard()
	}
	s.want = p
	s.leaveKept()
	m.reconcileLocked(s)
}
