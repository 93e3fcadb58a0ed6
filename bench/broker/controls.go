package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// controls answers on the control address.
func (s *server) controls(adm *kadm.Client, g *gate) {
	http.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"sessions": s.n.Load(), "bytes": s.bytes.Load(), "failed": s.failed.Load()})
	})
	http.HandleFunc("POST /produce", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		rate, _ := strconv.ParseFloat(r.FormValue("rate"), 64)
		if err := s.produce(r.Context(), n, rate, true); err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		fmt.Fprintln(w, s.n.Load())
	})
	http.HandleFunc("POST /raw", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
		if err != nil {
			http.Error(w, err.Error(), 400)
			return
		}
		p, _ := strconv.Atoi(r.FormValue("partition"))
		if err := s.cl.ProduceSync(r.Context(), &kgo.Record{Partition: int32(p), Value: b}).FirstErr(); err != nil {
			http.Error(w, err.Error(), 500)
		}
	})
	http.HandleFunc("GET /lag", func(w http.ResponseWriter, r *http.Request) {
		lags, err := adm.Lag(r.Context(), r.FormValue("group"))
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		var committed, end, lag int64
		lags.Each(func(l kadm.DescribedGroupLag) {
			for _, t := range l.Lag {
				for _, p := range t {
					committed += max(0, p.Commit.At)
					end += p.End.Offset
					lag += p.Lag
				}
			}
		})
		answer(w, map[string]int64{"committed": committed, "end": end, "lag": lag})
	})
	http.HandleFunc("GET /appended", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		answer(w, s.times)
	})
	http.HandleFunc("POST /gate", func(w http.ResponseWriter, r *http.Request) {
		closed, err := strconv.ParseBool(r.FormValue("closed"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		g.set(closed)
	})
	http.HandleFunc("GET /group", func(w http.ResponseWriter, r *http.Request) {
		groups, err := adm.DescribeGroups(r.Context(), r.FormValue("group"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		group := groups[r.FormValue("group")]
		answer(w, map[string]any{"state": group.State, "members": len(group.Members)})
	})
}

func answer(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Print(err)
	}
}

// gate lets fetches wait while it is closed. What it costs is only paid then.
type gate struct {
	cluster *kfake.Cluster
	mu      sync.Mutex
	open    chan struct{} // nil while open
}

func newGate(c *kfake.Cluster) *gate { return &gate{cluster: c} }

func (g *gate) set(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case closed && g.open == nil:
		g.open = make(chan struct{})
		g.cluster.ControlKey(int16(kmsg.Fetch), g.hold)
	case !closed && g.open != nil:
		close(g.open)
		g.open = nil
	}
}

// hold is asked about each fetch, and leaves when the gate is found open.
func (g *gate) hold(kmsg.Request) (kmsg.Response, error, bool) {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open == nil {
		g.cluster.DropControl()
		return nil, nil, false
	}
	g.cluster.KeepControl()
	g.cluster.SleepControl(func() { <-open })
	return nil, nil, false
}
