package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sync"
)

// store is a file of sessions that holds each of them once.
type store struct {
	mu   sync.Mutex
	file *os.File
	size int64 // of what is whole
	// seen are the ids of the latest sessions, in two generations: when the
	// younger one is full it becomes the elder, and the elder is forgotten.
	seen, elder map[string]struct{}
	generation  int
}

// openStore opens a file and remembers the last sessions in it; remember is how
// many at least.
func openStore(name string, remember int) (*store, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	s := &store{file: file, seen: map[string]struct{}{}, generation: remember}
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // the end, or a line that a crash cut off: it was never answered with 200
		}
		id, err := identify(line)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reading the store at byte %d: %w", s.size, err), file.Close())
		}
		s.remember(id)
		s.size += int64(len(line))
	}
	if err := file.Truncate(s.size); err != nil {
		return nil, errors.Join(fmt.Errorf("cutting the store to whole lines: %w", err), file.Close())
	}
	return s, nil
}

// add writes the sessions that are new, and returns when they are on the disk.
func (s *store) add(sessions []document) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var fresh []byte
	within := map[string]struct{}{}
	for _, d := range sessions {
		if _, twice := within[d.id]; twice || s.knows(d.id) {
			continue
		}
		within[d.id] = struct{}{}
		fresh = append(append(fresh, d.line...), '\n')
	}
	if len(fresh) == 0 {
		return nil
	}
	_, err := s.file.WriteAt(fresh, s.size)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		// Nothing of it counts: all of it is sent again.
		return fmt.Errorf("writing sessions: %w", errors.Join(err, s.file.Truncate(s.size)))
	}
	s.size += int64(len(fresh))
	for id := range within {
		s.remember(id)
	}
	return nil
}

func (s *store) knows(id string) bool {
	_, young := s.seen[id]
	_, old := s.elder[id]
	return young || old
}

func (s *store) remember(id string) {
	if len(s.seen) >= s.generation {
		s.elder, s.seen = s.seen, map[string]struct{}{}
	}
	s.seen[id] = struct{}{}
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Close()
}
