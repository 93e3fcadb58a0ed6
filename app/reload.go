package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sessionexport/settings"
	"sessionexport/web"
)

// inForce is the configuration in force, and what became of reloads.
type inForce struct {
	mu    sync.Mutex
	file  *settings.File
	state web.Config
}

func newInForce(file *settings.File) *inForce {
	return &inForce{file: file, state: web.Config{Hash: file.Hash(), Since: time.Now()}}
}

func (f *inForce) current() *settings.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file
}

func (f *inForce) status() web.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (f *inForce) succeeded(file *settings.File, restart []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file = file
	f.state.Hash, f.state.Since, f.state.Problems, f.state.Restart = file.Hash(), time.Now(), nil, restart
	f.state.Reloads++
}

func (f *inForce) failed(problems []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Problems, f.state.FailedAt = problems, time.Now()
	f.state.Failures++
}

// Reload brings another configuration into force: everything of it that can
// fail is built first, then what differs is changed. After an error nothing has
// changed. What takes a restart stays as it is and is named in the log.
func (s *Service) Reload(next *settings.File) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	adopted, restart := s.inForce.current().Adopt(next)
	d, err := s.apply(adopted)
	if err != nil {
		s.reloadFailed(err)
		return err
	}
	s.inForce.succeeded(adopted, restart)
	for _, w := range Warnings(adopted) {
		s.log.Warn("configuration", "warning", w)
	}
	if len(restart) > 0 {
		s.log.Warn("the configuration was reloaded but for keys that take a restart: they stay as they are", "restart_keys", restart)
	}
	args := []any{"config", adopted.Hash(), "unchanged", d.Unchanged}
	for _, part := range []struct {
		key   string
		sinks []string
	}{{"started", d.Started}, {"changed", d.Changed}, {"restarted", d.Restarted}, {"stopped", d.Stopped}} {
		if len(part.sinks) > 0 {
			args = append(args, part.key, part.sinks)
		}
	}
	s.log.Info("configuration reloaded", args...)
	return nil
}

// reloadFailed tells why nothing changed: every problem at once.
func (s *Service) reloadFailed(err error) {
	problems := []string{err.Error()}
	var mistakes settings.Problems
	if errors.As(err, &mistakes) {
		problems = problems[:0]
		for _, p := range mistakes {
			problems = append(problems, p.String())
		}
	}
	s.inForce.failed(problems)
	s.log.Error("reloading the configuration failed: nothing changes", "problems", problems)
}

// watchEvery is how often --watch looks at the files. What changed is read once
// two looks found the same: a certificate and its key are rarely written at once.
const watchEvery = time.Second

// reloader reloads a configuration file, when it is told to and when the
// content of what it was read from changed.
type reloader struct {
	path    string
	sources *settings.Sources
	reload  func(*settings.File) error
	failed  func(error)
	log     *slog.Logger

	seen    settings.Digest
	pending bool // a change was seen once
}

// run works until done is closed: a reload at each signal, but none once soft is
// over, and, when looks is not nil, at each look that finds another content.
func (r *reloader) run(soft context.Context, done <-chan struct{}, hangups <-chan os.Signal, looks <-chan time.Time) {
	for {
		select {
		case <-hangups:
			if soft.Err() != nil {
				r.log.Warn("reload ignored: the process is stopping")
				continue
			}
			r.log.Info("reloading the configuration", "because", "SIGHUP")
			r.load()
		case <-looks:
			if soft.Err() == nil && r.changed() {
				r.log.Info("reloading the configuration", "because", "the content of its files changed")
				r.load()
			}
		case <-done:
			return
		}
	}
}

// changed tells whether the files have another content than when they were last
// read, in vain or not, and the same at two looks.
func (r *reloader) changed() bool {
	now, changed := r.sources.Changed()
	if !changed {
		r.pending = false
		return false
	}
	settled := r.pending && now == r.seen
	r.seen, r.pending = now, true
	return settled
}

func (r *reloader) load() {
	file, sources, err := settings.Read(r.path, os.LookupEnv)
	r.sources, r.pending = sources, false
	if err != nil {
		r.failed(err)
		return
	}
	_ = r.reload(file) // it tells of its error itself
}

// watchable tells whether a file can be looked at again and again.
func watchable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("watching the configuration: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("watching the configuration: %s is no regular file", path)
	}
	return nil
}

// topicsOf lists the topics that a configuration reads, sorted.
func topicsOf(file *settings.File) []string {
	topics := make([]string, 0, len(file.Environments))
	for i := range file.Environments {
		topics = append(topics, file.Environments[i].Topic)
	}
	slices.SortFunc(topics, strings.Compare)
	return topics
}
