//go:build services

package search_test

import (
	"encoding/pem"
	"fmt"
	"log/slog"
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

// TestExportsAreTriedOnElasticsearch holds what a test of an export says against what a real cluster answers.
func TestExportsAreTriedOnElasticsearch(t *testing.T) {
	k, e := services.SharedKafka(t), services.StartElasticsearch(t)
	ctx := services.Context(t)
	topic := services.NewTopic(t, k, 2, nil)
	client := services.Franz(t, k, kgo.DefaultProduceTopic(topic))
	for i := range 20 {
		document := fmt.Sprintf(`{"tenantId":"t","userSessionId":"s%d","startTime":%d,"userType":"REAL_USER"}`, i, time.Now().UnixMilli()-int64(i))
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
	e.Create(t, "trial-conflict", `{"mappings":{"properties":{"userType":{"type":"long"}}}}`)
	e.Create(t, "trial-dates", `{"mappings":{"properties":{"startTime":{"type":"date"}}}}`)
	e.Create(t, "trial-strict", `{"mappings":{"dynamic":"strict"}}`)
	for _, c := range []struct{ direct, path, verdict, advice string }{
		{"indexName: trial-dates", "/_bulk", "delivered", ""},
		{"indexName: trial-unmapped", "/_bulk", "delivered", "dates_as_long"},
		{"indexName: trial-conflict", "/_bulk", "partial", "mapping_conflict"},
		{"indexName: trial-strict", "/_bulk", "partial", "mapping_strict"},
		{"indexName: trial-dates, docType: _doc", "/_bulk", "refused", "type_refused"},
		{"indexName: trial-dates", "/_bulk?pipeline=lost", "partial", "pipeline"},
		{"indexName: trial-dates", "/nowhere/trial/_bulk", "refused", "*"},
	} {
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
			report, err := trial.Test(ctx, trial.TestOptions{Log: log, Environment: "default", Topic: topic, Export: &export, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			var advice []string
			for _, a := range report.Advice {
				advice = append(advice, a.ID)
			}
			got := strings.Join(advice, ",")
			if report.Verdict != c.verdict || report.Sessions != 20 || got != c.advice && (c.advice != "*" || got == "") {
				t.Errorf("verdict %s, advice %q, requests %+v", report.Verdict, got, report.Requests)
			}
			t.Logf("%s: %s", report.Verdict, got)
		})
	}
}
