//go:build services

package search_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sessionexport/services"
	"sessionexport/sinks"
)

// outcome is what all failed items of an answer have in common.
type outcome struct {
	kind   sinks.Kind
	status int
	typ    string // "" is any
	items  int
}

// expect compares the items of a verdict.
func expect(t *testing.T, v sinks.Verdict, want outcome) {
	t.Helper()
	if v.Kind != sinks.Partial || v.Status != http.StatusOK || len(v.Items) != want.items {
		t.Fatalf("verdict %s with %d items, want partial with %d", told(v), len(v.Items), want.items)
	}
	for _, item := range v.Items {
		if item.Kind != want.kind || item.Status != want.status || want.typ != "" && item.Type != want.typ {
			t.Fatalf("item %d: %s %d %s (%s), want %s %d %s", item.Index, item.Kind, item.Status, item.Type, item.Reason, want.kind, want.status, want.typ)
		}
	}
	t.Logf("%s %d %s: %.160s", v.Items[0].Kind, v.Items[0].Status, v.Items[0].Type, v.Items[0].Reason)
}

// answers are faults of an index or of a cluster. Of two sessions that are sent the second has what the fault is about;
// items says how many of them are not accepted. After undo both are.
var answers = []struct {
	name    string
	index   string // settings and mappings; "-" makes no index
	do      string // "METHOD /path body" after that; {index} is its name
	undo    string // "-": there is no way back
	query   string // of the endpoint
	members string // of the second session's document
	kind    sinks.Kind
	status  int
	items   int
	typ     func(e *services.Engine) string
}{
	{name: "write block", do: `PUT /{index}/_settings {"index.blocks.write":true}`, undo: `PUT /{index}/_settings {"index.blocks.write":null}`,
		kind: sinks.Refused, status: 403, items: 2, typ: always("cluster_block_exception")},
	{name: "read-only block", do: `PUT /{index}/_settings {"index.blocks.read_only":true}`, undo: `PUT /{index}/_settings {"index.blocks.read_only":null}`,
		kind: sinks.Refused, status: 403, items: 2, typ: always("cluster_block_exception")},
	{name: "flood-stage block", do: `PUT /{index}/_settings {"index.blocks.read_only_allow_delete":true}`,
		undo: `PUT /{index}/_settings {"index.blocks.read_only_allow_delete":null}`,
		kind: sinks.Throttled, status: 429, items: 2, typ: always("cluster_block_exception")},
	{name: "closed index", do: `POST /{index}/_close`, undo: `POST /{index}/_open`,
		kind: sinks.Refused, status: 400, items: 2, typ: always("index_closed_exception")},
	{name: "deleted index and no automatic creation", do: `DELETE /{index}`, undo: `PUT /{index}`,
		kind: sinks.Refused, status: 404, items: 2, typ: always("index_not_found_exception")},
	{name: "alias required", query: "require_alias=true", undo: "-",
		kind: sinks.Refused, status: 404, items: 2, typ: always("index_not_found_exception")},
	{name: "shard limit", index: "-", do: `PUT /_cluster/settings {"persistent":{"cluster.max_shards_per_node":1,"action.auto_create_index":null}}`,
		undo: `PUT /_cluster/settings {"persistent":{"cluster.max_shards_per_node":null}}`,
		kind: sinks.Refused, status: 400, items: 2, typ: always("validation_exception")},
	{name: "shards not available", index: `{"settings":{"index.routing.allocation.require.name":"nobody","index.write.wait_for_active_shards":0}}`,
		undo:  `PUT /{index}/_settings {"index.routing.allocation.require.name":null}`,
		query: "timeout=1s", kind: sinks.Retryable, status: 503, items: 2, typ: always("unavailable_shards_exception")},
	{name: "alias without a write index", do: `PUT /{index}-more {"aliases":{"{index}":{}}}`, index: "alias",
		undo: `POST /_aliases {"actions":[{"add":{"index":"{index}-more","alias":"{index}","is_write_index":true}}]}`,
		kind: sinks.Suspect, status: 400, items: 2, typ: always("illegal_argument_exception")},
	{name: "pipeline missing", query: "pipeline=lost", undo: "-",
		kind: sinks.Suspect, status: 400, items: 2, typ: always("illegal_argument_exception")},
	{name: "text into a number", index: `{"mappings":{"properties":{"duration":{"type":"long"}}}}`, members: `"duration":"long"`, undo: "-",
		kind: sinks.Suspect, status: 400, items: 1, typ: parsing},
	{name: "text into a date", index: `{"mappings":{"properties":{"endTime":{"type":"date"}}}}`, members: `"endTime":"soon"`, undo: "-",
		kind: sinks.Suspect, status: 400, items: 1, typ: parsing},
	{name: "object into a keyword", index: `{"mappings":{"properties":{"city":{"type":"keyword"}}}}`, members: `"city":{"a":1}`, undo: "-",
		kind: sinks.Suspect, status: 400, items: 1, typ: parsing},
	{name: "strict mapping", index: `{"mappings":{"dynamic":"strict","properties":{"tenantId":{"type":"keyword"},"userSessionId":{"type":"keyword"},"startTime":{"type":"date"}}}}`,
		members: `"more":1`, undo: `PUT /{index}/_mapping {"properties":{"more":{"type":"long"}}}`,
		kind: sinks.Suspect, status: 400, items: 1, typ: always("strict_dynamic_mapping_exception")},
	{name: "field limit", index: `{"settings":{"index.mapping.total_fields.limit":6}}`, members: `"a":1,"b":2,"c":3`,
		undo: `PUT /{index}/_settings {"index.mapping.total_fields.limit":20}`, kind: sinks.Suspect, status: 400, items: 1, typ: fieldLimit},
	{name: "immense term", index: `{"mappings":{"properties":{"city":{"type":"keyword"}}}}`, members: `"city":"` + strings.Repeat("x", 40_000) + `"`, undo: "-",
		kind: sinks.Suspect, status: 400, items: 1, typ: immense},
	{name: "nested objects limit", index: `{"settings":{"index.mapping.nested_objects.limit":2},"mappings":{"properties":{"userActions":{"type":"nested"}}}}`,
		members: `"userActions":[{},{},{}]`, undo: `PUT /{index}/_settings {"index.mapping.nested_objects.limit":10}`,
		kind: sinks.Suspect, status: 400, items: 1, typ: parsing},
}

func always(typ string) func(*services.Engine) string {
	return func(*services.Engine) string { return typ }
}

// parsing is the type of what a mapping refuses.
func parsing(e *services.Engine) string {
	if e.Product() == "elasticsearch" && !older(e) {
		return "document_parsing_exception"
	}
	return "mapper_parsing_exception"
}

func fieldLimit(e *services.Engine) string {
	if e.Product() == "opensearch" {
		return "illegal_argument_exception"
	}
	return parsing(e)
}

func immense(e *services.Engine) string {
	if older(e) || e.Product() == "opensearch" {
		return "illegal_argument_exception"
	}
	return parsing(e)
}

// testAnswers produces every answer that our requests can cause and compares the verdict.
func testAnswers(t *testing.T, e *services.Engine) {
	e.Set(t, "action.auto_create_index", "false")
	defer e.Set(t, "action.auto_create_index", "")
	for i, a := range answers {
		t.Run(a.name, func(t *testing.T) {
			index := fmt.Sprintf("answer-%d", i)
			do := func(line string) {
				t.Helper()
				if line == "" || line == "-" {
					return
				}
				method, rest, _ := strings.Cut(strings.ReplaceAll(line, "{index}", index), " ")
				path, body, _ := strings.Cut(rest, " ")
				e.Must(t, method, path, body)
			}
			switch {
			case a.index == "alias":
				e.Create(t, index+"-first", fmt.Sprintf(`{"aliases":{"%s":{}}}`, index))
			case a.index == "-":
			default:
				path := index
				if strings.Contains(a.index, "wait_for_active_shards") {
					path += "?wait_for_active_shards=0"
				}
				e.Create(t, path, a.index)
			}
			do(a.do)
			s := newSender(t, e, a.query, nil, sinks.FormatOptions{Index: index}, false)
			document := func(i int) string {
				members := ""
				if i == 1 && a.members != "" {
					members = "," + a.members
				}
				return fmt.Sprintf(`{"tenantId":"t","userSessionId":"s-%d","startTime":%d%s}`, i, 1_700_000_000_000+i, members)
			}
			v := s.send(t, 2, document)
			for range 3 {
				if v.Kind != sinks.Delivered || a.kind != sinks.Throttled {
					break
				}
				do(a.do) // the node has looked at its disks just now and lifted the block
				v = s.send(t, 2, document)
			}
			do(a.undo)
			expect(t, v, outcome{a.kind, a.status, a.typ(e), a.items})
			if a.items == 1 && v.Items[0].Index != 1 {
				t.Errorf("item %d, want 1", v.Items[0].Index)
			}
			if a.undo != "-" {
				services.Eventually(t, "it is accepted again", func() bool { return s.send(t, 2, document).Kind == sinks.Delivered })
			}
			if want := 2 - a.items; a.undo == "-" {
				if n := e.Count(t, index); n != want {
					t.Errorf("%d documents, want %d: the neighbour is not spoilt", n, want)
				}
			}
		})
	}

	t.Run("invalid index name", func(t *testing.T) {
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "Upper"}, false)
		expect(t, s.send(t, 2, services.Document), outcome{sinks.Refused, 400, "invalid_index_name_exception", 2})
	})

	t.Run("unknown parameter", func(t *testing.T) {
		s := newSender(t, e, "nonsense=1", nil, sinks.FormatOptions{Index: "answer-unknown"}, false)
		if v := s.send(t, 2, services.Document); v.Kind != sinks.Refused || v.Status != http.StatusBadRequest {
			t.Errorf("verdict %s, want refused with 400", told(v))
		}
	})

	t.Run("read-only cluster", func(t *testing.T) {
		e.Create(t, "answer-cluster", "")
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "answer-cluster"}, false)
		e.Set(t, "cluster.blocks.read_only", "true")
		v := s.send(t, 2, services.Document)
		e.Set(t, "cluster.blocks.read_only", "")
		t.Log(told(v))
		if v.Kind == sinks.Partial { // by version the whole request or its items
			expect(t, v, outcome{sinks.Refused, http.StatusForbidden, "cluster_block_exception", 2})
		} else if v.Kind != sinks.Refused || v.Status != http.StatusForbidden {
			t.Errorf("verdict %s, want refused with 403", told(v))
		}
		services.Eventually(t, "it is accepted again", func() bool { return s.send(t, 2, services.Document).Kind == sinks.Delivered })
	})

	t.Run("circuit breaker", func(t *testing.T) {
		e.Create(t, "answer-breaker", "")
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "answer-breaker"}, false)
		e.Set(t, "indices.breaker.total.limit", "1%") // less than the node is made of
		v := s.send(t, 100, services.Document)
		e.Set(t, "indices.breaker.total.limit", "")
		t.Log(told(v))
		if v.Kind == sinks.Partial { // by version the whole request or its items
			expect(t, v, outcome{sinks.Throttled, http.StatusTooManyRequests, "circuit_breaking_exception", 100})
		} else if v.Kind != sinks.Throttled || v.Status != http.StatusTooManyRequests {
			t.Errorf("verdict %s, want throttled with 429", told(v))
		}
		s.deliver(t, 100, services.Document)
	})
}

// testDeletedInFlight deletes an index again and again under three writers: no answer is anything but accepted, or
// refused because the index is not there.
func testDeletedInFlight(t *testing.T, e *services.Engine) {
	e.Set(t, "action.auto_create_index", "false")
	defer e.Set(t, "action.auto_create_index", "")
	const rounds = 12
	done := make(chan struct{})
	var writers sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range 3 {
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "fleeting"}, false)
		body := s.body(t, 20, services.Document)
		ctx := services.Context(t)
		writers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				v := s.sink.Attempt(ctx, body)
				mu.Lock()
				seen[v.Kind.String()]++
				for _, item := range v.Items {
					seen[fmt.Sprintf("%s %d %s", item.Kind, item.Status, item.Type)]++
				}
				mu.Unlock()
			}
		})
	}
	for range rounds {
		e.Create(t, "fleeting", `{"settings":{"index.number_of_replicas":0}}`)
		e.Must(t, http.MethodGet, "/_cluster/health/fleeting?wait_for_status=green&timeout=60s", "")
		e.Must(t, http.MethodDelete, "/fleeting", "")
	}
	close(done)
	writers.Wait()
	t.Log(seen)
	known := map[string]bool{"delivered": true, "partial": true, "refused 404 index_not_found_exception": true,
		// One write thread with a short queue.
		"throttled 429 es_rejected_execution_exception": true, "throttled 429 rejected_execution_exception": true}
	for what, n := range seen {
		if !known[what] {
			t.Errorf("%d times %s", n, what)
		}
	}
	if seen["refused 404 index_not_found_exception"] == 0 {
		t.Error("the writers never missed the index")
	}
}

// testLimits reaches the limits of the node.
func testLimits(t *testing.T, e *services.Engine) {
	wide := func(bytes int) func(int) string {
		text := strings.Repeat("x", bytes)
		return func(i int) string {
			return fmt.Sprintf(`{"tenantId":"t","userSessionId":"wide-%d","startTime":%d,"text":"%s"}`, i, i, text)
		}
	}

	t.Run("body too large", func(t *testing.T) {
		e.Create(t, "limit-body", `{"mappings":{"properties":{"text":{"enabled":false,"type":"object"}}}}`)
		for _, gzip := range []bool{false, true} { // the limit is that of the unpacked body
			s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "limit-body"}, gzip)
			for range 5 {
				v := s.send(t, 60, wide(100_000))
				for repeats := 0; repeats < 3 && v.Kind == sinks.Retryable && v.Reason == "reset"; repeats++ {
					// Version 9 closes the connection at once, and that may overtake the answer. The next attempt asks
					// first, and sends the body when a busy node says nothing for a second.
					t.Log(told(v))
					v = s.send(t, 60, wide(100_000))
				}
				if v.Kind != sinks.TooLarge || v.Status != http.StatusRequestEntityTooLarge {
					t.Fatalf("verdict %s, want too large with 413", told(v))
				}
			}
			s.deliver(t, 10, services.Document) // the way is not broken
		}
	})

	t.Run("indexing pressure", func(t *testing.T) {
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "limit-body"}, false)
		v := s.send(t, 40, wide(100_000))
		t.Log(told(v))
		if v.Kind != sinks.Throttled || v.Status != http.StatusTooManyRequests {
			t.Errorf("verdict %s, want throttled with 429", told(v))
		}
		s.deliver(t, 10, services.Document)
	})

	t.Run("full queue", func(t *testing.T) {
		e.Create(t, "limit-queue", `{"settings":{"index.number_of_shards":30,"index.number_of_replicas":0}}`)
		s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "limit-queue"}, false)
		left := make([]int, 300)
		for i := range left {
			left[i] = i
		}
		throttled := 0
		for range 100 {
			v := s.send(t, len(left), func(i int) string { return services.Document(left[i]) })
			if v.Kind == sinks.Delivered {
				left = nil
				break
			}
			if v.Kind == sinks.Throttled {
				throttled++
				continue
			}
			if v.Kind != sinks.Partial {
				t.Fatalf("verdict %s, want partial", told(v))
			}
			var again []int
			for _, item := range v.Items {
				if item.Kind != sinks.Throttled || item.Status != http.StatusTooManyRequests || !strings.HasSuffix(item.Type, "rejected_execution_exception") {
					t.Fatalf("item %+v, want it throttled", item)
				}
				throttled++
				again = append(again, left[item.Index])
			}
			left = again
		}
		t.Logf("%d times throttled", throttled)
		if throttled == 0 {
			t.Error("the queue was never full")
		}
		if n := e.Count(t, "limit-queue"); n != 300 || len(left) != 0 {
			t.Errorf("%d documents and %d left to send, want 300 and none", n, len(left))
		}
	})
}

// testFloodStage lets a disk be nearly full: the node itself closes the indices to writing, and opens them again.
func testFloodStage(t *testing.T, e *services.Engine) {
	e.Create(t, "flooded", "")
	s := newSender(t, e, "", nil, sinks.FormatOptions{Index: "flooded"}, false)
	s.deliver(t, 2, services.Document)
	const watermarks = `{"persistent":{"cluster.info.update.interval":%[1]s,"cluster.routing.allocation.disk.watermark.low":%[2]s,` +
		`"cluster.routing.allocation.disk.watermark.high":%[2]s,"cluster.routing.allocation.disk.watermark.flood_stage":%[2]s}}`
	e.Must(t, http.MethodPut, "/_cluster/settings", fmt.Sprintf(watermarks, `"10s"`, `"0.01%"`))
	var v sinks.Verdict
	services.Eventually(t, "the disk is found too full", func() bool {
		v = s.send(t, 2, services.Document)
		return v.Kind != sinks.Delivered
	})
	unborn := newSender(t, e, "", nil, sinks.FormatOptions{Index: "flooded-unborn"}, false).send(t, 2, services.Document)
	e.Must(t, http.MethodPut, "/_cluster/settings", fmt.Sprintf(watermarks, `"10s"`, "null"))
	expect(t, v, outcome{sinks.Throttled, 429, "cluster_block_exception", 2})
	if e.Product() == "opensearch" && unborn.Kind != sinks.Delivered { // it may create no indices either, from the high watermark on
		expect(t, unborn, outcome{sinks.Refused, http.StatusForbidden, "index_create_block_exception", 2})
	}
	services.Eventually(t, "the block goes by itself", func() bool { return s.send(t, 2, services.Document).Kind == sinks.Delivered })
	e.Set(t, "cluster.info.update.interval", "")
	services.Eventually(t, "indices are created again", func() bool {
		_, err := e.Do(services.Context(t), http.MethodPut, "/flooded-after", "")
		return err == nil
	})
}
