package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/demo"
)

// TestManagementZone delivers the sessions of a zone's applications alone, and
// commits the others.
func TestManagementZone(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	r := s.receiver()
	generator := demo.NewGenerator(3)
	var records []*kgo.Record
	want := map[string]bool{}
	const all = 200
	for i := range all {
		value := generator.Append(nil, i)
		records = append(records, &kgo.Record{Value: value, Partition: int32(i % 2)})
		if slices.ContainsFunc(generator.Applications(i), func(name string) bool { return strings.HasPrefix(name, "easy") }) {
			want[string(value)] = true
		}
	}
	if len(want) == 0 || len(want) == all {
		t.Fatalf("%d of %d sessions are in scope: a useless test", len(want), all)
	}
	s.write(records...)
	v := s.serve(s.config("", sink{id: "shop", url: r.URL("/").String(), zone: "7"}))
	until(t, "everything is done with", func() bool {
		m := v.scrape()
		return m.sum("sessions_read_total") == all && m.sum("sessions_waiting") == 0
	})
	m := v.scrape()
	m.conserve("shop")
	if n := m.sum("sessions_out_of_scope_total"); int(n) != all-len(want) {
		t.Errorf("%v sessions out of scope, want %d", n, all-len(want))
	}
	// Without a stop: a narrow zone must not look like lag.
	until(t, "everything is committed", func() bool { return s.lag("shop") == 0 })
	v.stop()
	got := map[string]bool{}
	for _, request := range r.Requests() {
		for _, one := range request.Sessions {
			got[string(one.Document)] = true
			if !want[string(one.Document)] {
				t.Errorf("a session out of scope arrived: %s", one.Key)
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d sessions arrived, want %d", len(got), len(want))
	}
}
