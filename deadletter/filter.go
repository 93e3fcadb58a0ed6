package deadletter

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"sessionexport/session"
)

// Filter chooses letters. Each criterion that is set must be met; of its
// values one must be. The zero value chooses all.
type Filter struct {
	Environments []string
	Sinks        []string
	Kinds        []string
	Reasons      []string
	Statuses     []int     // of the endpoint's answer or the item's; 0 is "none"
	Since        time.Time // inclusive; of the latest attempt, see Letter.When
	Until        time.Time // exclusive
	Sessions     []string  // ids: the session's own, or the document's tenantId-userSessionId-startTime
	Keys         []string  // of letters, as ID.String makes them
}

// When is the time that a letter is filtered by: of its latest attempt, or of
// its source when there was none.
func (l *Letter) When() time.Time {
	if l.Last.IsZero() {
		return l.Source.Timestamp
	}
	return l.Last
}

// Match tells whether the letter is chosen.
func (f *Filter) Match(l *Letter, n *Namer) bool {
	in := func(values []string, v string) bool { return len(values) == 0 || slices.Contains(values, v) }
	switch {
	case !in(f.Environments, l.Environment), !in(f.Sinks, l.Sink), !in(f.Kinds, l.Kind), !in(f.Reasons, l.Reason):
		return false
	case len(f.Statuses) > 0 && !slices.Contains(f.Statuses, l.Status):
		return false
	case !f.Since.IsZero() && l.When().Before(f.Since), !f.Until.IsZero() && !l.When().Before(f.Until):
		return false
	case len(f.Keys) > 0 && !slices.Contains(f.Keys, l.ID().String()):
		return false
	}
	if len(f.Sessions) == 0 {
		return true
	}
	id, document := n.Names(l)
	return id != "" && slices.Contains(f.Sessions, id) || document != "" && slices.Contains(f.Sessions, document)
}

// Namer reads the names of sessions out of letters' bodies. It is for one
// goroutine.
type Namer struct {
	scanner session.Scanner
	scanned session.Session
}

// Names returns the session's own id, and the id of its document,
// tenantId-userSessionId-startTime. Either is empty when the body does not
// tell, and a letter without its body has only what its headers say.
func (n *Namer) Names(l *Letter) (id, document string) {
	document = l.Session
	if len(l.Body) == 0 || n.scanner.Scan(l.Body, nil, &n.scanned) != nil {
		return "", document
	}
	s := &n.scanned
	if s.Has&session.HasUserSessionID != 0 {
		id = string(s.UserSessionID)
	}
	const all = session.HasTenantID | session.HasUserSessionID | session.HasStartTime
	if document == "" && s.Has&all == all {
		document = string(s.TenantID) + "-" + id + "-" + strconv.FormatInt(s.StartTime, 10)
	}
	return id, document
}

// object tells whether the body is one JSON object in valid UTF-8, and returns
// it on one line.
func (n *Namer) object(body []byte) ([]byte, bool) {
	if len(body) == 0 || n.scanner.Scan(body, nil, &n.scanned) != nil {
		return nil, false
	}
	if n.scanned.LineBreaks {
		return session.AppendCompact(nil, body), true
	}
	return bytes.TrimSpace(body), true
}
