//go:build services

package search_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sessionexport/services"
	"sessionexport/session"
	"sessionexport/sinks"
	"sessionexport/trial"
)

// testDelivery: what is sent twice is there once.
func testDelivery(t *testing.T, e *services.Engine) {
	t.Run("a redelivery overwrites itself", func(t *testing.T) {
		for _, gzip := range []bool{false, true} {
			index := fmt.Sprintf("redelivery-%t", gzip)
			s := newSender(t, e, "", nil, sinks.FormatOptions{Index: index}, gzip)
			for range 2 {
				s.deliver(t, 1000, services.Document)
			}
			if n := e.Count(t, index); n != 1000 {
				t.Errorf("%d documents, want 1000", n)
			}
		}
	})

	t.Run("create counts what is there already as delivered", func(t *testing.T) {
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "created", OpType: sinks.OpCreate}, true)
		if v := s.deliver(t, 5, services.Document); v.Conflicts != 0 {
			t.Errorf("%d conflicts, want none", v.Conflicts)
		}
		if v := s.deliver(t, 8, services.Document); v.Conflicts != 5 {
			t.Errorf("%d conflicts, want 5", v.Conflicts)
		}
		if n := e.Count(t, "created"); n != 8 {
			t.Errorf("%d documents, want 8", n)
		}
	})

	t.Run("the longest id", func(t *testing.T) {
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "identified"}, false)
		const most = 512 // bytes, for tenant, session and time with what joins them
		document := func(length int) string {
			id := strings.Repeat("i", length-len("t")-len("-")-len("-0"))
			return fmt.Sprintf(`{"tenantId":"t","userSessionId":"%s","startTime":0}`, id)
		}
		s.deliver(t, 1, func(int) string { return document(most) })
		var scanner session.Scanner
		var scanned session.Session
		if err := scanner.Scan([]byte(document(most+1)), nil, &scanned); err != nil {
			t.Fatal(err)
		}
		var rejected *sinks.RejectedError
		if _, _, err := s.format.Append(nil, &scanned); !errors.As(err, &rejected) || rejected.Reason != "id_too_long" {
			t.Errorf("error %v, want a rejection with id_too_long", err)
		}
		// Sent nevertheless it would spoil the whole request.
		action := fmt.Sprintf("{\"index\":{\"_index\":\"identified\",\"_id\":\"%s\"}}\n{}\n", strings.Repeat("i", most+1))
		_, err := e.Do(services.Context(t), http.MethodPost, "/_bulk", action)
		var refused *services.StatusError
		if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
			t.Errorf("error %v, want status 400 for the whole request", err)
		}
	})

	t.Run("an alias takes what its write index takes", func(t *testing.T) {
		e.Create(t, "aliased-1", `{"aliases":{"aliased":{"is_write_index":true}}}`)
		s := newSender(t, e, "require_alias=true", nil, sinks.FormatOptions{Index: "aliased"}, false)
		s.deliver(t, 3, services.Document)
		if n := e.Count(t, "aliased"); n != 3 {
			t.Errorf("%d documents, want 3", n)
		}
	})
}

// testTypes: version 7 knows document types, later ones and OpenSearch refuse them clearly.
func testTypes(t *testing.T, e *services.Engine) {
	if !older(e) {
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "typed", DocType: "_doc"}, false)
		v := s.send(t, 2, services.Document)
		if v.Kind != sinks.Refused || v.Status != http.StatusBadRequest {
			t.Errorf("verdict %s, want refused with 400", told(v))
		}
		_, err := e.Do(services.Context(t), http.MethodGet, "/typed/_count", "")
		var missing *services.StatusError
		if !errors.As(err, &missing) || missing.Status != http.StatusNotFound {
			t.Errorf("error %v, want that nothing was written", err)
		}
		return
	}
	for _, docType := range []string{"_doc", "usersession"} {
		index := "typed-" + strings.TrimPrefix(docType, "_")
		put(t, e, trial.MappingOptions{Target: trial.ES7, Index: index, DocType: docType})
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: index, DocType: docType}, false)
		for range 2 {
			s.deliver(t, 20, services.Document)
		}
		if n := e.Count(t, index); n != 20 {
			t.Errorf("%d documents of type %s, want 20", n, docType)
		}
		other := newSender(t, e, "", nil, sinks.FormatOptions{Index: index, DocType: "other"}, false)
		expect(t, other.send(t, 2, services.Document), outcome{sinks.Suspect, http.StatusBadRequest, "illegal_argument_exception", 2})
	}
	templated := trial.MappingOptions{Target: trial.ES7, Index: "typed-template", DocType: "usersession", Template: true}
	put(t, e, templated)
	newSender(t, e, "", nil, sinks.FormatOptions{Index: "typed-template", DocType: "usersession"}, false).deliver(t, 2, services.Document)
	// Without the type that the index has, the sessions are written nevertheless.
	newSender(t, e, "", nil, sinks.FormatOptions{Index: "typed-template"}, false).deliver(t, 2, services.Document)
}

// testDataStreams: they take creations only, and what is sent again is there once.
func testDataStreams(t *testing.T, e *services.Engine) {
	options := trial.MappingOptions{Target: target(e), Index: "stream", Template: true, DataStream: true}
	if older(e) {
		body, err := trial.Mapping(options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Do(services.Context(t), http.MethodPut, "/_index_template/stream", string(body))
		var refused *services.StatusError
		if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || !strings.Contains(err.Error(), "data_stream") {
			t.Errorf("error %v, want 400 that names data_stream: this distribution has no data streams", err)
		}
		return
	}
	put(t, e, options)
	s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "stream", OpType: sinks.OpCreate}, true)
	if v := s.deliver(t, 400, services.Document); v.Conflicts != 0 {
		t.Errorf("%d conflicts, want none", v.Conflicts)
	}
	if v := s.deliver(t, 500, services.Document); v.Conflicts != 400 {
		t.Errorf("%d conflicts, want 400", v.Conflicts)
	}
	if n := e.Count(t, "stream"); n != 500 {
		t.Errorf("%d documents, want 500", n)
	}
	indexing := newSender(t, e, "", nil, sinks.FormatOptions{Index: "stream"}, false)
	expect(t, indexing.send(t, 2, services.Document), outcome{sinks.Suspect, http.StatusBadRequest, "illegal_argument_exception", 2})
}
