package sinktest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Session is one session of a request.
type Session struct {
	Key      string // tenantId-userSessionId-startTime
	ID       string // _bulk: the action's _id
	Op       string // _bulk: the action
	Document []byte
	Status   int    // what was answered for it
	Type     string // of its error
}

// sessions reads a body of any format. A body that is none of them has no
// sessions.
func sessions(h http.Header, body []byte, bulk bool) []Session {
	if h.Get("Content-Encoding") == "gzip" {
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil
		}
		if body, err = io.ReadAll(r); err != nil {
			return nil
		}
	}
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' {
		var documents []json.RawMessage
		if json.Unmarshal(trimmed, &documents) != nil {
			return nil
		}
		out := make([]Session, len(documents))
		for i, document := range documents {
			out[i] = newSession(document)
		}
		return out
	}
	var out []Session
	lines := bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	if !bulk {
		for _, line := range lines {
			out = append(out, newSession(line))
		}
		return out
	}
	for i := 0; i+1 < len(lines); i += 2 {
		s := newSession(lines[i+1])
		var action map[string]struct {
			ID string `json:"_id"`
		}
		if json.Unmarshal(lines[i], &action) != nil {
			return nil
		}
		for op, target := range action {
			s.Op, s.ID = op, target.ID
		}
		out = append(out, s)
	}
	return out
}

func newSession(document []byte) Session {
	var ids struct {
		Tenant  string      `json:"tenantId"`
		Session string      `json:"userSessionId"`
		Start   json.Number `json:"startTime"`
	}
	s := Session{Document: bytes.Clone(document)}
	if json.Unmarshal(document, &ids) == nil {
		s.Key = fmt.Sprintf("%s-%s-%s", ids.Tenant, ids.Session, ids.Start)
	}
	return s
}

// judge sets what the step answers for each session.
func judge(all []Session, step Step) {
	for i := range all {
		s := &all[i]
		s.Status = step.status()
		if s.Op == "" || s.Status >= 300 {
			continue
		}
		s.Status = http.StatusCreated
		if step.Item != nil {
			s.Status, s.Type = step.Item(*s)
		}
	}
}

// bulkAnswer is an answer as filter_path asks for it.
func bulkAnswer(all []Session) string {
	var items strings.Builder
	failed := false
	for i, s := range all {
		if i > 0 {
			items.WriteByte(',')
		}
		if s.Status < 300 {
			fmt.Fprintf(&items, `{%q:{"status":%d}}`, s.Op, s.Status)
			continue
		}
		failed = true
		fmt.Fprintf(&items, `{%q:{"status":%d,"error":{"type":%q,"reason":"a scripted %d"}}}`, s.Op, s.Status, s.Type, s.Status)
	}
	return fmt.Sprintf(`{"errors":%t,"items":[%s]}`, failed, items.String())
}
