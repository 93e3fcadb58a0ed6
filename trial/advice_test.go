package trial

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sessionexport/sinks"
	"sessionexport/sinks/sinktest"
)

// seen collects the rows that the tests below have reached.
var seen = map[string]bool{}

// Every row of every table is reached by one of these tests, and is in the docs.
func TestAdvice(t *testing.T) {
	clear(seen)
	ran := 0
	parts := []struct {
		about string
		test  func(*testing.T)
	}{
		{"the network", adviceOnTheNetworkTest},
		{"an unreachable token server", adviceOnAnUnreachableTokenServerTest},
		{"a wrong host", adviceOnAWrongHostTest},
		{"errors", adviceOnErrorsTest},
		{"tokens", adviceOnTokensTest},
		{"statuses", adviceOnStatusesTest},
		{"items", adviceOnItemsTest},
		{"dates", adviceOnDatesTest},
	}
	for _, p := range parts {
		t.Run(p.about, func(t *testing.T) {
			ran++
			p.test(t)
		})
	}
	if ran == len(parts) { // and not some of them, chosen on the command line
		everyRow(t)
	}
}

func checkAdvice(t *testing.T, got []Advice, row, names string) {
	t.Helper()
	if len(got) != 1 || got[0].ID != row {
		t.Fatalf("advice %+v, want %s", got, row)
	}
	seen[row] = true
	if all := got[0].Cause + got[0].Remedy; !strings.Contains(all, names) || strings.Contains(all, "{") {
		t.Errorf("advice %+v does not name %q, or holds a blank", got[0], names)
	}
}

func adviceOnTokensTest(t *testing.T) {
	r := sinktest.New(t, sinktest.Options{})
	tokens := sinktest.New(t, sinktest.Options{Authority: r.Authority})
	e := setup{url: on(r, "/in")}.oauth(on(tokens, "/token")).export(t, r.Authority)
	for _, c := range []struct {
		row  string
		step sinktest.Step
	}{
		{"token_client", sinktest.Step{Status: 401, Body: `{"error":"invalid_client","error_description":"` + clientSecret + ` is wrong"}`}},
		{"token_client", sinktest.Step{Status: 400, Body: `{"error":"invalid_client"}`}},
		{"token_client", sinktest.Status(401)},
		{"token_scope", sinktest.Step{Status: 400, Body: `{"error":"invalid_scope"}`}},
		{"token_grant", sinktest.Step{Status: 400, Body: `{"error":"unauthorized_client"}`}},
		{"token_grant", sinktest.Step{Status: 400, Body: `{"error":"unsupported_grant_type"}`}},
		{"token_request", sinktest.Step{Status: 400, Body: `{"error":"invalid_request"}`}},
		{"token_redirect", sinktest.Step{Status: 302, Header: http.Header{"Location": {"/login"}}}},
		{"token_path", sinktest.Status(404)},
		{"token_throttled", sinktest.Status(429)},
		{"token_ill", sinktest.Status(503)},
		{"token_answer", sinktest.Step{Body: "<html>log in</html>"}},
		{"token_refused", sinktest.Status(403)},
	} {
		t.Run(fmt.Sprintf("%s %d", c.row, c.step.Status), func(t *testing.T) {
			tokens.Always(c.step)
			report := try(t, e, recent(3), nil)
			checkAdvice(t, report.Advice, c.row, "")
			if report.Delivered || len(r.Requests()) != 0 || !strings.Contains(stepNames(report.Requests[0]), "token:token_request") {
				t.Errorf("report %+v", report.Requests[0])
			}
		})
	}
}

func adviceOnStatusesTest(t *testing.T) {
	tokens := sinktest.New(t, sinktest.Options{})
	tokens.Always(sinktest.Step{Body: `{"access_token":"eyhush","token_type":"Bearer"}`})
	authority := tokens.Authority
	bulk := setup{url: "/_bulk", direct: "indexName: sessions-1"}
	typed := setup{url: "/_bulk", direct: "indexName: sessions-1, docType: _doc"}
	web := setup{url: "/in"}
	illegal := `{"error":{"type":"illegal_argument_exception","reason":"Action/metadata line [1] contains an unknown parameter [_type]"},"status":400}`
	for _, c := range []struct {
		row   string
		setup setup
		step  sinktest.Step
		names string
	}{
		{"redirect", web, sinktest.Step{Status: 301, Header: http.Header{"Location": {"https://other.example/in/?token=" + queryKey}}}, "https://other.example/in/"},
		{"redirect", web.basic(), sinktest.Step{Status: 302, Header: http.Header{"Location": {"https://other.example/" + password}}}, "https://other.example/***"},
		{"redirect", web, sinktest.Status(307), "another address"},
		{"body_refused", web, sinktest.Status(400), "bodyFormat=array"},
		{"body_refused", web, sinktest.Status(422), "application/json"},
		{"actions_missing", setup{url: "/_bulk", contentType: "application/x-ndjson"}, sinktest.Status(400), "sendDirect"},
		{"credentials_missing", web, sinktest.Status(401), "not active"},
		{"password", web.basic(), sinktest.Status(401), "password"},
		{"password", bulk.basic(), sinktest.Status(401), "password"},
		{"token_not_accepted", web.oauth(on(tokens, "/token")), sinktest.Status(401), "scope"},
		{"rights", web.basic(), sinktest.Status(403), "firewall"},
		{"index_rights", bulk.basic(), sinktest.Status(403), "sessions-1"},
		{"path", web, sinktest.Status(404), "endpointUrl"},
		{"method", web, sinktest.Step{Status: 405, Header: http.Header{"Allow": {"PUT"}}}, "does not take POST (it allows PUT)"},
		{"proxy_login", web, sinktest.Status(407), "HTTPS_PROXY"},
		{"slow_endpoint", web, sinktest.Status(408), "gzip"},
		{"too_large", web, sinktest.Status(413), "client_max_body_size"},
		{"content_type", web, sinktest.Status(415), "application/json"},
		{"media_type", bulk, sinktest.Status(406), "media type"},
		{"length", web, sinktest.Status(411), "httpVersion"},
		{"wrong_server", web, sinktest.Status(421), "host name"},
		{"throttled", web, sinktest.Step{Status: 429, Header: http.Header{"Retry-After": {"7"}}}, "7s"},
		{"throttled", web, sinktest.Step{Status: 503, Header: http.Header{"Retry-After": {"60"}}}, "1m0s"},
		{"gateway", web, sinktest.Status(503), "503 Service Unavailable"},
		{"endpoint_ill", web, sinktest.Status(500), "500 Internal Server Error"},
		{"refused", web, sinktest.Status(451), "451"},
		{"not_elasticsearch", bulk, sinktest.Step{Body: "thank you"}, "sendDirect"},
		{"answer_cut", bulk, sinktest.Step{Body: `{"errors":false,"items":[`}, "broke off"},
		{"type_refused", typed, sinktest.Step{Status: 400, Body: illegal}, "_doc"},
		{"bulk_request", bulk, sinktest.Step{Status: 400, Body: illegal}, "whole request"},
		{"bulk_request", typed, sinktest.Step{Status: 400, Body: `{"error":{"type":"parse_exception","reason":"x"}}`}, "whole request"},
		{"timeout_reading", setup{url: "/_bulk", direct: "indexName: sessions-1", custom: []string{"requestTimeout=1s"}},
			sinktest.Step{Body: `{"errors":false,"items":[{"index":{"status":201}}`, Fault: sinktest.HangAnswer}, "1s"},
	} {
		t.Run(fmt.Sprintf("%s %d", c.row, c.step.Status), func(t *testing.T) {
			r := sinktest.New(t, sinktest.Options{Authority: authority})
			r.Always(c.step)
			c.setup.url = on(r, c.setup.url)
			report := try(t, c.setup.export(t, authority), recent(3), nil)
			checkAdvice(t, report.Advice, c.row, c.names)
			if report.Delivered {
				t.Errorf("report %+v", report)
			}
		})
	}
}

func adviceOnItemsTest(t *testing.T) {
	e := setup{url: "https://search.example/_bulk", direct: "indexName: sessions-1, docType: cdr"}.export(t, nil)
	for _, c := range []struct {
		row    string
		status int
		typ    string
		reason string
		names  string
	}{
		{"index_missing", 404, "index_not_found_exception", "no such index [sessions-1]", "session-export mapping"},
		{"data_stream", 400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams", "opType=create"},
		{"data_stream_time", 400, "document_parsing_exception", "[1:14] failed to parse: data stream timestamp field [@timestamp] is missing", "opType=create"},
		{"field_limit", 400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded", "total_fields.limit"},
		{"immense_term", 400, "illegal_argument_exception", `Document contains at least one immense term in field="userId" (whose UTF8 encoding is longer`, "the field userId"},
		{"immense_term", 400, "document_parsing_exception", "[1:6] failed to parse field [userId] of type [keyword] in document with id 'm5'. Preview of fie (caused by: Document contains at least one immense term in field)", "the field userId"},
		{"nested_limit", 400, "document_parsing_exception", "[1:86] The number of nested documents has exceeded the allowed limit of [2].", "nested_objects.limit"},
		{"nested_limit", 400, "mapper_parsing_exception", "failed to parse (caused by: The number of nested documents has exceeded the allowed limit of [2].)", "nested_objects.limit"},
		{"create_block", 403, "index_create_block_exception", "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];", "disks are nearly full"},
		{"alias_write", 400, "illegal_argument_exception", "no write index is defined for alias [cdr].", "is_write_index"},
		{"mapping_strict", 400, "strict_dynamic_mapping_exception", "mapping set to strict, dynamic introduction of [carrier] within [_doc] is not allowed", "the field carrier"},
		{"mapping_conflict", 400, "document_parsing_exception", "[1:14] failed to parse field [startTime] of type [date] in document with id 'm1'. Preview of field's value: 'hush'", "the field startTime"},
		{"mapping_conflict", 400, "mapper_parsing_exception", "failed to parse", "a field"},
		{"type_refused", 400, "illegal_argument_exception", "Invalid type: expecting [_doc] but got [cdr]", "than cdr"},
		{"pipeline", 400, "illegal_argument_exception", "pipeline with id [nope] does not exist", "simulate"},
		{"index_name", 400, "invalid_index_name_exception", "Invalid index name [UPPER], must be lowercase", "indexName"},
		{"index_closed", 400, "index_closed_exception", "closed", "Open it"},
		{"shard_limit", 400, "validation_exception", "this action would add [2] shards", "max_shards_per_node"},
		{"disk_full", 429, "cluster_block_exception", "disk usage exceeded flood-stage watermark", "flood stage"},
		{"index_block", 403, "cluster_block_exception", "index read-only (api)", "index.blocks"},
		{"index_rights", 403, "security_exception", "action is unauthorized", "create_index"},
		{"versions", 409, "version_conflict_engine_exception", "version conflict", "pipeline"},
		{"cluster_busy", 429, "es_rejected_execution_exception", "rejected execution", "later"},
		{"cluster_ill", 503, "unavailable_shards_exception", "primary shard is not active", "unavailable_shards_exception"},
		{"item_refused", 400, "odd_exception", "hush", "odd_exception"},
	} {
		t.Run(c.row, func(t *testing.T) {
			s := situation{export: e, verdict: sinks.Verdict{Kind: sinks.Partial, Status: 200, Items: []sinks.ItemVerdict{
				{Kind: sinks.Suspect, Status: c.status, Type: c.typ, Reason: c.reason},
			}}}
			got := adviceOn(s)
			checkAdvice(t, got, c.row, c.names)
			if strings.Contains(got[0].Cause+got[0].Remedy, "hush") {
				t.Errorf("advice quotes a document: %+v", got[0])
			}
		})
	}
}

// An index without a mapping accepts everything, and its dates are numbers.
func adviceOnDatesTest(t *testing.T) {
	for name, c := range map[string]struct {
		mapping sinktest.Step
		want    string
	}{
		"numbers":        {sinktest.Step{Body: `{"sessions-1":{"mappings":{"startTime":{"full_name":"startTime","mapping":{"startTime":{"type":"long"}}},"endTime":{"full_name":"endTime","mapping":{"endTime":{"type":"long"}}}}}}`}, "dates_as_long"},
		"one of several": {sinktest.Step{Body: `{"a":{"mappings":{"startTime":{"mapping":{"startTime":{"type":"date"}}}}},"b":{"mappings":{"startTime":{"mapping":{"startTime":{"type":"long"}}}}}}`}, "dates_as_long"},
		"version 6":      {sinktest.Step{Body: `{"sessions-1":{"mappings":{"_doc":{"startTime":{"mapping":{"startTime":{"type":"long"}}}}}}}`}, "dates_as_long"},
		"dates":          {sinktest.Step{Body: `{"sessions-1":{"mappings":{"startTime":{"mapping":{"startTime":{"type":"date"}}}}}}`}, ""},
		"no mapping":     {sinktest.Step{Body: `{"sessions-1":{"mappings":{}}}`}, ""},
		"not allowed":    {sinktest.Status(403), ""},
		"no JSON":        {sinktest.Step{Body: "thank you"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := sinktest.New(t, sinktest.Options{})
			r.Script(sinktest.Step{}, c.mapping)
			s := setup{url: on(r, "/prefix/_bulk?pipeline=x"), direct: "indexName: sessions-1", custom: []string{"header.X-Key=" + headerKey}}.basic()
			report := try(t, s.export(t, r.Authority), recent(3), nil)
			if !report.Delivered || ids(report.Advice) != c.want {
				t.Errorf("advice %+v of %+v", report.Advice, report)
			}
			if c.want != "" {
				checkAdvice(t, report.Advice, c.want, "startTime")
			}
			asked := r.Requests()[1]
			if asked.Method != http.MethodGet || asked.URL.RequestURI() != "/prefix/sessions-1/_mapping/field/startTime,endTime" ||
				asked.Header.Get("X-Key") != headerKey || asked.Header.Get("Authorization") == "" || asked.Header.Get("Session-Export-Test") != "true" {
				t.Errorf("asked %s %s %v", asked.Method, asked.URL, asked.Header)
			}
		})
	}
}

func everyRow(t *testing.T) {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "docs", "test-export.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range [][]row{networkRows, tokenRows, statusRows, itemRows, {datesAsLong}} {
		known := map[string]bool{}
		for _, r := range rows {
			if known[r.id] {
				t.Errorf("%s is there twice", r.id)
			}
			known[r.id] = true
			if !seen[r.id] {
				t.Errorf("no test reaches %s", r.id)
			}
			if !bytes.Contains(doc, []byte("`"+r.id+"`")) {
				t.Errorf("docs/test-export.md does not name %s", r.id)
			}
		}
	}
}

func TestFieldOfTakesNamesAlone(t *testing.T) {
	for reason, want := range map[string]string{
		"failed to parse field [a.b] of type [long] in document with id 'hush'": "a.b",
		"failed to parse field [two words]":                                     "",
		"failed to parse":                                                       "",
		"object mapping for [tags] tried to parse field [x] as object":          "tags",
		"failed to parse field [" + strings.Repeat("x", 300) + "]":              "",
	} {
		if got := fieldOf(reason); got != want {
			t.Errorf("%q: %q, want %q", reason, got, want)
		}
	}
}
