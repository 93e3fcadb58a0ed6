package deadletter

import (
	"encoding/json"
	"time"
)

// View is a letter as JSON shows it.
type View struct {
	Key         string     `json:"key"` // names the letter for every command
	Environment string     `json:"environment"`
	Sink        string     `json:"sink"`
	Kind        string     `json:"kind"`
	Reason      string     `json:"reason,omitempty"`
	Status      int        `json:"status,omitempty"` // absent without an answer
	Error       string     `json:"error,omitempty"`
	Attempts    int        `json:"attempts"`
	First       *time.Time `json:"firstAttempt,omitempty"`
	Last        *time.Time `json:"lastAttempt,omitempty"`
	Source      SourceView `json:"source"`
	Format      string     `json:"format,omitempty"`
	Session     string     `json:"session,omitempty"` // tenantId-userSessionId-startTime
	BodySize    int        `json:"bodySize"`          // bytes
	BodyOmitted bool       `json:"bodyOmitted,omitempty"`

	// The body is shown only when asked for: as JSON when it is an object, in
	// base64 otherwise.
	Body       json.RawMessage `json:"body,omitempty"`
	BodyBase64 []byte          `json:"bodyBase64,omitempty"`
}

// SourceView is where a session came from.
type SourceView struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`
	Timestamp *time.Time `json:"timestamp,omitempty"`
}

// ViewOf returns how JSON shows the letter, with its body when bodies is set.
func ViewOf(l *Letter, n *Namer, bodies bool) View {
	_, document := n.Names(l)
	v := View{
		Key: l.ID().String(), Environment: l.Environment, Sink: l.Sink, Kind: l.Kind, Reason: l.Reason, Status: l.Status,
		Error: l.Error, Attempts: l.Attempts, First: present(l.First), Last: present(l.Last),
		Source: SourceView{
			Topic: l.Source.Topic, Partition: l.Source.Partition, Offset: l.Source.Offset, Timestamp: present(l.Source.Timestamp),
		},
		Format: l.Format, Session: document, BodySize: l.BodySize, BodyOmitted: l.BodyOmitted,
	}
	if !bodies || l.BodyOmitted {
		return v
	}
	if object, ok := n.object(l.Body); ok {
		v.Body = object
	} else {
		v.BodyBase64 = l.Body
	}
	return v
}

func present(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
