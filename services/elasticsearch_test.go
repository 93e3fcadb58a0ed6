//go:build services

package services

import (
	"net/http"
	"strings"
	"testing"
)

func TestElasticsearchTakesABulkRequest(t *testing.T) {
	e := StartElasticsearch(t)
	ctx := testContext(t)
	answer, err := e.Do(ctx, http.MethodPost, "/_bulk?refresh=true", "{\"index\":{\"_index\":\"sessions\",\"_id\":\"1\"}}\n{\"a\":1}\n")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer, `"errors":false`) {
		t.Errorf("answer = %s", answer)
	}
}
