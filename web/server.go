// Package web is what a process shows to its operator over HTTP: metrics,
// health, readiness and the state of every sink.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sessionexport/consumer"
	"sessionexport/dispatcher"
)

// Options make a Server.
type Options struct {
	Address      string // host:port; port 0 takes a free one
	PprofAddress string // a listener of its own, loopback; "" for none
	Source       Source
	Version      string
	Config       func() Config          // what is in force, at any time
	Collectors   []prometheus.Collector // what else is shown at /metrics
	Logger       *slog.Logger
}

// Server is the operating surface.
type Server struct {
	o        Options
	started  time.Time
	stopping atomic.Bool
	servers  []*http.Server
	addr     net.Addr
	pprof    net.Addr
}

// Start listens and serves until Close.
func Start(o Options) (*Server, error) {
	s := &Server{o: o, started: time.Now()}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{source: o.Source, version: o.Version, config: o.Config, now: time.Now},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	registry.MustRegister(o.Collectors...)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /status", s.status)
	addr, err := s.listen(o.Address, mux, answerTimeout)
	if err != nil {
		return nil, fmt.Errorf("listening on server.address: %w", err)
	}
	s.addr = addr
	if o.PprofAddress != "" {
		if s.pprof, err = s.listen(o.PprofAddress, pprofHandler(), 0); err != nil {
			_ = s.Close(context.Background())
			return nil, fmt.Errorf("listening on server.pprofAddress: %w", err)
		}
	}
	return s, nil
}

func pprofHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// answerTimeout bounds an answer, so that who reads slowly holds nothing. A
// profile takes as long as was asked for and has no such bound.
const answerTimeout = 30 * time.Second

func (s *Server) listen(address string, h http.Handler, writeTimeout time.Duration) (net.Addr, error) {
	l, err := net.Listen("tcp", address) //nolint:noctx // it does not block
	if err != nil {
		return nil, err
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: writeTimeout,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelDebug),
	}
	s.servers = append(s.servers, srv)
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.o.Logger.Error("the operator's listener ended", "address", address, "error", err)
		}
	}()
	return l.Addr(), nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.addr }

// PprofAddr is where the profiler listens, nil when it does not.
func (s *Server) PprofAddr() net.Addr { return s.pprof }

// Unready makes /readyz say that the process is ending.
func (s *Server) Unready() { s.stopping.Store(true) }

// Close ends the listeners, waiting for answers under way until ctx is done.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	for _, srv := range s.servers {
		if err := srv.Shutdown(ctx); err != nil {
			errs = append(errs, srv.Close())
		}
	}
	return errors.Join(errs...)
}

// healthz says that the process lives; Kafka and endpoints do not matter.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintln(w, "ok")
}

// readyz says whether every sink, or every one of an environment, is at home in
// its group or reads. A sink that holds is ready: the process is well.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	environment := r.URL.Query().Get("environment")
	if environment != "" && !s.serves(environment) {
		http.Error(w, "no sink of this environment runs", http.StatusNotFound)
		return
	}
	if why := s.unready(environment); why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

func (s *Server) serves(environment string) bool {
	return slices.ContainsFunc(s.o.Source.Status(), func(sink dispatcher.SinkStatus) bool { return sink.Environment == environment })
}

// unready names what keeps the process, or one environment of it, from being
// ready, "" when nothing does.
func (s *Server) unready(environment string) string {
	if s.stopping.Load() {
		return "stopping"
	}
	var lines []string
	for _, sink := range s.o.Source.Status() {
		m := sink.Member
		switch {
		case environment != "" && sink.Environment != environment:
		case sink.Fatal != "":
			lines = append(lines, "sink "+sink.Sink+": stopped for good: "+sink.Fatal)
		case atWork(&m, time.Now()):
		default:
			line := "sink " + sink.Sink + ": " + string(m.State)
			if m.LastError != "" {
				line += ": " + m.LastError
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// heardWithin is for how long a partition counts as reachable after its broker
// last told its high watermark. One that rests while batches wait asks for it
// every 5 s (consumer.Options.WatermarkAge).
const heardWithin = 30 * time.Second

// atWork tells whether a member has a place in its group. A coordinator out of
// reach takes it away only when no partition is heard of either: those that
// are read on without their coordinator are as they should be.
func atWork(m *consumer.Status, now time.Time) bool {
	heard := func(p consumer.PartitionStatus) bool { return p.Trouble == "" && now.Sub(p.WatermarkAt) < heardWithin }
	if m.LastError != "" && !slices.ContainsFunc(m.Partitions, heard) {
		return false
	}
	return m.State == consumer.StateStable || m.State == consumer.StateRevoking || len(m.Partitions) > 0
}
