package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/deadletter"
	"sessionexport/sinks/sinktest"
)

// record is an unusual one, and what becomes of it. A reason means that it is
// a dead letter with this reason; "" that it is delivered as the document.
type record struct {
	value    []byte
	document string // "" is the value itself
	webhook  string // reason, for lines, arrays and x-ndjson
	bulk     string // reason, for _bulk
	id       string // _id of the action line
	stamped  string // document of opType=create, when it is another one
}

func refused(value, reason string) record {
	return record{value: []byte(value), webhook: reason, bulk: reason}
}

var records = map[string]record{
	"plain":            accepted("a", `{"tenantId":"acme","userSessionId":"a","startTime":7}`, ""),
	"not JSON":         refused(`session 17, please`, "not_json"),
	"cut short":        refused(`{"tenantId":"acme","userSessionId":"b","startTi`, "not_json"),
	"two documents":    refused(`{"tenantId":"acme"}{"tenantId":"acme"}`, "not_json"),
	"array":            refused(`[{"tenantId":"acme","userSessionId":"c","startTime":7}]`, "not_object"),
	"string":           refused(`"{}"`, "not_object"),
	"empty":            refused("", "empty"),
	"blank":            refused(" \n", "empty"),
	"invalid UTF-8":    refused("{\"tenantId\":\"acme\",\"userSessionId\":\"\xff\",\"startTime\":7}", "invalid_utf8"),
	"half a character": refused("{\"tenantId\":\"acme\",\"userSessionId\":\"d\",\"startTime\":7,\"x\":\"\xc3\"}", "invalid_utf8"),
	"line breaks": accepted("e", "{\r\n  \"tenantId\": \"acme\",\n  \"userSessionId\": \"e\",\n  \"startTime\": 7,\n  \"x\": \"a  b\\n\"\n}\n",
		`{"tenantId":"acme","userSessionId":"e","startTime":7,"x":"a  b\n"}`),
	"spaces":            accepted("f", ` { "tenantId" : "acme" , "userSessionId":"f", "startTime":7 } `, `{ "tenantId" : "acme" , "userSessionId":"f", "startTime":7 }`),
	"duplicate keys":    accepted("g", `{"tenantId":"x","tenantId":"acme","userSessionId":"y","userSessionId":"g","startTime":1,"startTime":7}`, ""),
	"other case":        {value: []byte(`{"TenantId":"acme","userSessionId":"h","startTime":7}`), bulk: "missing_tenant_id"},
	"escapes in ids":    accepted(`ö"\`, `{"tenantId":"acme","userSessionId":"\u00f6\"\\","startTime":7}`, ""),
	"no tenantId":       {value: []byte(`{"userSessionId":"i","startTime":7}`), bulk: "missing_tenant_id"},
	"no userSessionId":  {value: []byte(`{"tenantId":"acme","startTime":7}`), bulk: "missing_user_session_id"},
	"no startTime":      {value: []byte(`{"tenantId":"acme","userSessionId":"j"}`), bulk: "missing_start_time"},
	"startTime, a text": {value: []byte(`{"tenantId":"acme","userSessionId":"k","startTime":"7"}`), bulk: "missing_start_time"},
	"id of 600 bytes": {value: []byte(`{"tenantId":"acme","userSessionId":"` + strings.Repeat("l", 600) + `","startTime":7}`),
		bulk: "id_too_long"},
	"own timestamp":     stamped("m", `{"@timestamp":"2026-01-01T00:00:00Z","tenantId":"acme","userSessionId":"m","startTime":7}`),
	"no members":        {value: []byte(`{}`), bulk: "missing_tenant_id"},
	"5 MB":              accepted("n", `{"tenantId":"acme","userSessionId":"n","startTime":7,"x":"`+strings.Repeat("0123456789", 500_000)+`"}`, ""),
	"5 MB, not JSON":    refused(strings.Repeat("0123456789,", 500_000), "not_json"),
	"20 MB":             refused(`{"tenantId":"acme","userSessionId":"o","startTime":7,"x":"`+strings.Repeat("0123456789", 2_000_000)+`"}`, "oversize"),
	"20 MB, compressed": refused(`{"tenantId":"acme","userSessionId":"p","startTime":7,"x":"`+strings.Repeat(" ", 20_000_000)+`"}`, "oversize"),
}

// accepted is a record that every format delivers, as the document or, when
// that is empty, as it is. Its userSessionId is given, tenant and start are
// acme and 7.
func accepted(id, value, document string) record {
	if document == "" {
		document = value
	}
	return record{value: []byte(value), document: document, id: "acme-" + id + "-7", stamped: `{"@timestamp":7,` + strings.TrimPrefix(document, "{")}
}

// stamped is the same with a timestamp of its own.
func stamped(id, value string) record {
	r := accepted(id, value, "")
	r.stamped = value
	return r
}

// TestUnusualRecords sends each record of the table to every format, an
// ordinary session behind each.
func TestUnusualRecords(t *testing.T) {
	t.Parallel()
	slow := map[string]string{"requestTimeout": "30s", "httpVersion": "1.1"}
	for name, sinks := range map[string][]sink{
		"webhooks": {
			{id: "lines", custom: slow},
			{id: "array", custom: with(slow, "bodyFormat", "array")},
			{id: "ndjson", content: "application/x-ndjson", custom: slow},
		},
		"bulk": {
			{id: "search", index: "sessions", custom: slow},
			{id: "stream", index: "sessions", custom: with(slow, "opType", "create")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unusualRecords(t, sinks)
		})
	}
}

func unusualRecords(t *testing.T, sinks []sink) {
	s := newStage(t, 1)
	receivers := map[string]*sinktest.Receiver{}
	for i, k := range sinks {
		receivers[k.id] = s.receiver()
		sinks[i].url = receivers[k.id].URL("/_bulk").String()
		if k.index == "" {
			sinks[i].url = receivers[k.id].URL("/").String()
		}
	}
	v := s.serve(s.config("", sinks...))
	ordinary := small(0, len(records)+1)
	offsets := map[string]int64{}
	at := int64(0)
	write := func(r *kgo.Record) {
		s.write(r)
		at++
	}
	for name, r := range records {
		offsets[name] = at
		write(&kgo.Record{Value: r.value})
		write(&kgo.Record{Value: []byte(ordinary[len(offsets)-1].document)})
	}
	write(&kgo.Record{Key: []byte("tombstone")})
	write(&kgo.Record{Value: []byte(ordinary[len(records)].document)})

	for id := range receivers {
		until(t, id+" has done with everything", func() bool {
			m := v.scrape()
			return int(m.sum("sessions_read_total", "sink", id)) == 2*len(records)+1 && m.sum("sessions_waiting", "sink", id) == 0
		})
		m := v.scrape()
		m.conserve(id)
		if got := m.sum("tombstones_total", "sink", id); got != 1 {
			t.Errorf("%s: %v tombstones, want 1", id, got)
		}
	}
	v.stop()
	letters := s.letters()
	bySink := map[string]map[int64]deadletter.Letter{}
	for id, l := range letters {
		if bySink[id.Sink] == nil {
			bySink[id.Sink] = map[int64]deadletter.Letter{}
		}
		bySink[id.Sink][id.Offset] = l
	}
	for id, r := range receivers {
		if lag := s.lag(id); lag != 0 {
			t.Errorf("%s: %d records are not committed", id, lag)
		}
		got, keys := map[string]sinktest.Session{}, r.Accepted()
		for _, request := range r.Requests() {
			for _, one := range request.Sessions {
				got[string(one.Document)] = one
			}
		}
		for _, one := range ordinary {
			if keys[one.key] != 1 {
				t.Errorf("%s: the ordinary session %s arrived %d times", id, one.key, keys[one.key])
			}
		}
		for name, one := range records {
			letter, ok := bySink[id][offsets[name]]
			if err := one.check(id, got, letter, ok); err != nil {
				t.Errorf("%s: %s: %v", id, name, err)
			}
		}
	}
}

// check holds what became of a record at one sink against the table.
func (r record) check(sink string, got map[string]sinktest.Session, letter deadletter.Letter, lettered bool) error {
	bulk := sink == "search" || sink == "stream"
	reason, document := r.webhook, r.document
	if bulk {
		reason = r.bulk
	}
	if document == "" {
		document = string(r.value)
	}
	if sink == "stream" && r.stamped != "" {
		document = r.stamped
	}
	arrived, ok := got[document]
	switch {
	case reason == "" && lettered:
		return fmt.Errorf("is a dead letter: %s", letter.Error)
	case reason == "" && !ok:
		return fmt.Errorf("did not arrive as it should")
	case reason == "" && bulk && arrived.ID != r.id:
		return fmt.Errorf("arrived with the id %q, want %q", arrived.ID, r.id)
	case reason == "":
		return nil
	case ok:
		return fmt.Errorf("arrived, and should be a dead letter: %s", reason)
	case !lettered:
		return fmt.Errorf("neither arrived nor became a dead letter")
	case letter.Kind != "rejected" || letter.Reason != reason:
		return fmt.Errorf("became a dead letter of the kind %s with the reason %q (%s), want %q", letter.Kind, letter.Reason, letter.Error, reason)
	case reason == "oversize" && (!letter.BodyOmitted || letter.BodySize != len(r.value)):
		return fmt.Errorf("became a dead letter with a body of %d bytes, omitted: %t", letter.BodySize, letter.BodyOmitted)
	case reason != "oversize" && string(letter.Body) != string(r.value):
		return fmt.Errorf("its dead letter has another body of %d bytes", len(letter.Body))
	case letter.Error == "" || letter.Last.IsZero() || letter.Source.Timestamp.IsZero() || letter.Format == "":
		return fmt.Errorf("its dead letter is incomplete: error %q, last %s, source %+v, format %q", letter.Error, letter.Last, letter.Source, letter.Format)
	}
	return nil
}
