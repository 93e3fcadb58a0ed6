//go:build services

package search_test

import (
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/consumer"
	"sessionexport/services"
	"sessionexport/settings"
	"sessionexport/trial"
)

// testTrial holds what a test of an export says against what a real engine answers.
func testTrial(t *testing.T, e *services.Engine) {
	k := services.SharedKafka(t)
	ctx := services.Context(t)
	topic := newTopic(t, k, 2)
	client := services.Franz(t, k, kgo.DefaultProduceTopic(topic))
	for i := range 20 {
		document := fmt.Sprintf(`{"tenantId":"t","userSessionId":"s%d","startTime":%d,"userType":"REAL_USER","userActions":[{},{}],"city":"%s"}`,
			i, time.Now().UnixMilli()-int64(i), strings.Repeat("x", 40_000))
		if err := client.ProduceSync(ctx, kgo.StringRecord(document)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	log := services.Connect(t, consumer.KafkaOptions{Brokers: k.Brokers()}).Topic(topic)
	t.Cleanup(log.Close)
	front := httptest.NewTLSServer(e.Proxy())
	t.Cleanup(front.Close)
	folder := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(folder, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, e, mappingOf(e, "trial-mapped"))
	e.Create(t, "trial-conflict", `{"mappings":{"properties":{"userType":{"type":"long"}}}}`)
	e.Create(t, "trial-strict", `{"mappings":{"dynamic":"strict"}}`)
	e.Create(t, "trial-fields", `{"settings":{"index.mapping.total_fields.limit":3}}`)
	e.Create(t, "trial-terms", `{"mappings":{"properties":{"city":{"type":"keyword"}}}}`)
	e.Create(t, "trial-nested", `{"settings":{"index.mapping.nested_objects.limit":1},"mappings":{"properties":{"userActions":{"type":"nested"}}}}`)
	e.Create(t, "trial-alias-1", `{"aliases":{"trial-alias":{}}}`)
	e.Create(t, "trial-alias-2", `{"aliases":{"trial-alias":{}}}`)
	e.Create(t, "trial-closed", "")
	e.Must(t, http.MethodPost, "/trial-closed/_close", "")
	e.Create(t, "trial-blocked", `{"settings":{"index.blocks.write":true}}`)
	e.Create(t, "trial-flooded", "")
	e.Set(t, "action.auto_create_index", "-trial-missing*,+*")
	defer e.Set(t, "action.auto_create_index", "")
	type row struct{ direct, path, verdict, advice string }
	rows := []row{
		{"indexName: trial-mapped", "/_bulk", "delivered", ""},
		{"indexName: trial-unmapped", "/_bulk", "delivered", "dates_as_long"},
		{"indexName: trial-conflict", "/_bulk", "partial", "mapping_conflict"},
		{"indexName: trial-strict", "/_bulk", "partial", "mapping_strict"},
		{"indexName: trial-fields", "/_bulk", "partial", "field_limit"},
		{"indexName: trial-terms", "/_bulk", "partial", "immense_term"},
		{"indexName: trial-nested", "/_bulk", "partial", "nested_limit"},
		{"indexName: trial-alias", "/_bulk", "partial", "alias_write"},
		{"indexName: trial-closed", "/_bulk", "partial", "index_closed"},
		{"indexName: trial-blocked", "/_bulk", "partial", "index_block"},
		{"indexName: trial-flooded", "/_bulk", "partial", "disk_full"},
		{"indexName: trial-missing", "/_bulk", "partial", "index_missing"},
		{"indexName: trial-mapped", "/_bulk?pipeline=lost", "partial", "pipeline"},
		{"indexName: trial-mapped", "/_bulk?nonsense=1", "refused", "bulk_request"},
	}
	if older(e) {
		rows = append(rows,
			row{"indexName: trial-mapped", "/nowhere/trial/_bulk", "partial", "type_refused"}, // the path names a type
			row{"indexName: trial-mapped, docType: _doc", "/_bulk", "delivered", ""},
			row{"indexName: trial-mapped, docType: other", "/_bulk", "partial", "type_refused"})
	} else {
		put(t, e, trial.MappingOptions{Target: target(e), Index: "trial-stream", Template: true, DataStream: true})
		rows = append(rows,
			row{"indexName: trial-mapped", "/nowhere/trial/_bulk", "refused", "bulk_request"},
			row{"indexName: trial-mapped, docType: _doc", "/_bulk", "refused", "type_refused"},
			row{"indexName: trial-stream", "/_bulk", "partial", "data_stream"})
	}
	for _, c := range rows {
		t.Run(c.direct+c.path, func(t *testing.T) {
			export, err := settings.ParseUnsaved(fmt.Appendf(nil, `
endpointDefinition: {endpointUrl: %q, enableUserSessionExport: true, usePost: true, contentType: application/x-ndjson}
authentication: {active: false}
sendDirect: {active: true, %s}
exportBehavior: {disableNotification: false, customConfiguration: "caFile=ca.pem"}
`, front.URL+c.path, c.direct), "export.yaml", settings.Place{Folder: folder, SecretsDir: folder}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var report *trial.Report
			for range 4 {
				if c.advice == "disk_full" { // a block that the node lifts when it looks at its disks, perhaps just now
					e.Must(t, http.MethodPut, "/trial-flooded/_settings", `{"index.blocks.read_only_allow_delete":true}`)
				}
				report, err = trial.Test(ctx, trial.TestOptions{Log: log, Environment: "default", Topic: topic, Export: &export, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				if c.advice != "disk_full" || report.Verdict != "delivered" {
					break
				}
			}
			var advice []string
			for _, a := range report.Advice {
				advice = append(advice, a.ID)
			}
			got := strings.Join(advice, ",")
			if report.Verdict != c.verdict || report.Sessions != 20 || got != c.advice {
				t.Errorf("verdict %s, advice %q, requests %+v", report.Verdict, got, report.Requests)
			}
			t.Logf("%s: %s", report.Verdict, got)
		})
	}
}
