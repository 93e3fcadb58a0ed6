package trial

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"sessionexport/batcher"
	"sessionexport/session"
	"sessionexport/sinks"
)

func positionOf(i int) session.Position { return session.Position{Offset: int64(i)} }

func formatOf(t *testing.T, o sinks.FormatOptions) *sinks.Format {
	t.Helper()
	f, err := sinks.NewFormat(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func samplesOf(n, padding int) []Sample {
	all := make([]Sample, n)
	for i := range all {
		all[i] = Sample{Pos: positionOf(i), Value: fmt.Appendf(nil, `{"tenantId":"t","userSessionId":"s%d","startTime":%d,"pad":%q}`, i, i, strings.Repeat("x", padding))}
	}
	return all
}

func TestBodiesKeepToTheLimits(t *testing.T) {
	for name, c := range map[string]struct {
		sessions, padding int
		limits            batcher.Limits
		want              []int // sessions of each body
	}{
		"none":                {0, 0, batcher.Limits{}, nil},
		"one body":            {50, 0, batcher.Limits{}, []int{50}},
		"by sessions":         {50, 0, batcher.Limits{Sessions: 20}, []int{20, 20, 10}},
		"by sessions, evenly": {40, 0, batcher.Limits{Sessions: 20}, []int{20, 20}},
		"by bytes":            {5, 1000, batcher.Limits{Bytes: 2500}, []int{2, 2, 1}},
		"one each":            {3, 5000, batcher.Limits{Bytes: 2500}, []int{1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			all, uncarried := bodies(samplesOf(c.sessions, c.padding), formatOf(t, sinks.FormatOptions{Kind: sinks.NDJSON}), c.limits)
			var got []int
			for _, b := range all {
				got = append(got, len(b.Items))
				if lines := bytes.Count(b.Body, []byte("\n")); lines != len(b.Items) {
					t.Errorf("%d lines of %d sessions", lines, len(b.Items))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || uncarried != nil {
				t.Errorf("bodies of %v, want %v; uncarried %v", got, c.want, uncarried)
			}
		})
	}
}

func TestBodiesCountWhatTheFormatCannotCarry(t *testing.T) {
	samples := append(samplesOf(2, 0),
		Sample{Value: []byte(`{"userSessionId":"a","startTime":1}`)},
		Sample{Value: []byte(`{"tenantId":"t","startTime":1}`)},
		Sample{Value: []byte(`{"tenantId":"t","startTime":2}`)},
	)
	all, uncarried := bodies(samples, formatOf(t, sinks.FormatOptions{Kind: sinks.Bulk, Index: "i"}), batcher.Limits{})
	if len(all) != 1 || len(all[0].Items) != 2 || fmt.Sprint(uncarried) != "[{missing_tenant_id 1} {missing_user_session_id 2}]" {
		t.Errorf("%d bodies, uncarried %v", len(all), uncarried)
	}
}

// A receiver that throws away the ids that it knows must not take a batch of
// the pipeline for the one of a test, nor a test for an earlier one.
func TestBodyIDIsOneOfATest(t *testing.T) {
	all, _ := bodies(samplesOf(3, 0), formatOf(t, sinks.FormatOptions{Kind: sinks.NDJSON}), batcher.Limits{})
	at := time.Unix(1, 0)
	first := bodyID("e", "topic", at, all[0])
	if first != bodyID("e", "topic", at, all[0]) {
		t.Error("the id changes")
	}
	pipeline := batcher.ID("e", "topic", 3, func(i int) session.Position { return all[0].Items[i].Pos })
	if first == pipeline || first == bodyID("e", "topic", at.Add(1), all[0]) {
		t.Error("the id is one of others")
	}
}
