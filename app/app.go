// Package app wires a process: every resource registers its clean-up as soon as
// it exists, and they run last in, first out.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sessionexport/alerts"
	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/dispatcher"
	"sessionexport/settings"
	"sessionexport/web"
)

// Service is one running process: Kafka, pipelines and the operating surface.
type Service struct {
	log     *slog.Logger
	level   *slog.LevelVar
	kafka   *consumer.Kafka
	letters *deadletter.Topic
	manager *dispatcher.Manager
	alarm   *alarm
	server  *web.Server
	closers []func() error

	inForce   *inForce
	reloading sync.Mutex
	sources   chan struct{} // of capacity 1: other topics are read
}

// ServiceOptions make a Service. File and Logger must be set.
type ServiceOptions struct {
	File   *settings.File
	Logger *slog.Logger
	// Level, when set, is the one of Logger that a reload changes.
	Level *slog.LevelVar
	// Stored, when set, is told of every dead letter once it is durable.
	Stored func([]deadletter.Letter)
	// Notifiers are told of alerts besides those that File names.
	Notifiers []alerts.Notifier
}

// NewService builds a service from a configuration. Nothing is read or sent
// before Run; what cannot work at all is an error here.
func NewService(so ServiceOptions) (s *Service, err error) {
	file, log := so.File, so.Logger
	s = &Service{log: log, level: so.Level, inForce: newInForce(file), sources: make(chan struct{}, 1)}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	if s.kafka, err = connect(file, log); err != nil {
		return s, err
	}
	s.onClose(s.kafka.Close)
	s.letters = deadletter.Open(deadletter.Options{
		Client: s.kafka.Client(), Topic: file.DeadLetters.Topic, SourceTopics: topicsOf(file), Logger: log,
	})
	s.alarm, err = newAlarm(file, s.kafka, func() []dispatcher.SinkStatus { return s.manager.Status() }, log, so.Notifiers...)
	if err != nil {
		return s, err
	}
	stored := func(ls []deadletter.Letter) {
		s.alarm.stored(ls)
		if so.Stored != nil {
			so.Stored(ls)
		}
	}
	s.manager, err = dispatcher.NewManager(dispatcher.ManagerOptions{
		File: file, Kafka: s.kafka, Letters: watched{letters: s.letters, stored: stored}, Version: Version, Logger: log,
		Observe: s.alarm.observe,
	})
	if err != nil {
		return s, fmt.Errorf("building the pipelines: %w", err)
	}
	s.server, err = web.Start(web.Options{
		Address: file.Server.Address, PprofAddress: file.Server.PprofAddress, Source: s.manager,
		Version: Version, Config: s.inForce.status, Logger: log,
		Collectors: []prometheus.Collector{s.alarm.metrics},
	})
	if err != nil {
		return s, fmt.Errorf("starting the operating surface: %w", err)
	}
	s.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return s.server.Close(ctx)
	})
	return s, nil
}

func (s *Service) onClose(f func() error) { s.closers = append(s.closers, f) }

func (s *Service) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// Manager runs the pipelines.
func (s *Service) Manager() *dispatcher.Manager { return s.manager }

// Address is where the operating surface listens.
func (s *Service) Address() string { return s.server.Addr().String() }

// Run works until ctx is done and ends gracefully; when hard is done as well,
// it ends at once. The metrics listener ends last.
func (s *Service) Run(ctx, hard context.Context) error {
	s.log.Info("started", "version", Version, "sinks", s.manager.Sinks(), "address", s.Address())
	watching, end := context.WithCancel(ctx)
	defer end()
	var watchers sync.WaitGroup
	watchers.Go(func() { s.checkLetters(watching) })
	watchers.Go(func() { s.alarm.run(watching) })
	stop := context.AfterFunc(ctx, func() {
		s.server.Unready()
		s.log.Info("stopping: reading ends, attempts in flight may finish", "grace", s.grace().String())
	})
	defer stop()
	err := s.manager.Run(ctx, hard, s.grace)
	end()
	watchers.Wait()
	s.log.Info("stopped")
	return errors.Join(err, s.close())
}

func (s *Service) grace() time.Duration { return s.inForce.current().Shutdown.Grace }

// apply builds everything of a configuration that can fail and then brings it
// into force.
func (s *Service) apply(file *settings.File) (dispatcher.Difference, error) {
	var none dispatcher.Difference
	if conflicts := file.Conflicts(); len(conflicts) > 0 {
		return none, conflicts
	}
	sinks, err := s.manager.Prepare(file)
	if err != nil {
		return none, fmt.Errorf("building the pipelines: %w", err)
	}
	told, err := s.alarm.prepare(file)
	if err != nil {
		sinks.Discard()
		return none, err
	}
	topics := topicsOf(file)
	if !slices.Equal(topics, topicsOf(s.inForce.current())) {
		s.letters.Use(topics)
		select {
		case s.sources <- struct{}{}:
		default:
		}
	}
	// In this order: what is new is watched when it begins.
	told.apply()
	if s.level != nil {
		setLevel(s.level, file.Log)
	}
	tuneMemory(file)
	return sinks.Apply(), nil
}

// watched tells of letters that became durable.
type watched struct {
	letters *deadletter.Topic
	stored  func([]deadletter.Letter)
}

// Write stores the letters.
func (w watched) Write(ctx context.Context, ls []deadletter.Letter) error {
	err := w.letters.Write(ctx, ls)
	if err == nil && w.stored != nil {
		w.stored(ls)
	}
	return err
}

// checkLetters looks at the dead letters' topic at start, and when other topics
// are read, so that what is wrong with it is known before the first letter.
func (s *Service) checkLetters(ctx context.Context) {
	for {
		s.ensureLetters(ctx)
		select {
		case <-s.sources:
		case <-ctx.Done():
			return
		}
	}
}

// ensureLetters keeps trying while Kafka is away.
func (s *Service) ensureLetters(ctx context.Context) {
	wait := time.Second
	for {
		try, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := s.letters.Ensure(try)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		var known *deadletter.Error
		if errors.As(err, &known) && known.Kind != deadletter.Unavailable {
			s.log.Error("dead letters cannot be stored: a session that is given up will make its sink hold", "error", err)
			wait = time.Minute
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, time.Minute)
	}
}

// Logger returns a logger as the configuration wants it.
func Logger(w io.Writer, l settings.Log) *slog.Logger {
	log, _ := levelLogger(w, l)
	return log
}

// levelLogger returns a logger whose level can be changed.
func levelLogger(w io.Writer, l settings.Log) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	setLevel(level, l)
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "text" {
		return slog.New(slog.NewTextHandler(w, o)), level
	}
	return slog.New(slog.NewJSONHandler(w, o)), level
}

func setLevel(v *slog.LevelVar, l settings.Log) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(l.Level)) // validated; info when empty
	v.Set(level)
}
