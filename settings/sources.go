package settings

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Sources are the files that one reading of a configuration looked at: the
// configuration itself and every secret and certificate that it names. They
// know what was in them by its hash, so that a file that was written again, or
// reached by another link, with the same content counts as unchanged.
type Sources struct {
	mu   sync.Mutex
	seen map[source][sha256.Size]byte
}

type source struct {
	path  string // absolute
	limit int64
}

// Digest identifies what is in the files.
type Digest [sha256.Size]byte

func digestOf(data []byte, readable bool) [sha256.Size]byte {
	if !readable {
		return [sha256.Size]byte{} // what cannot be read is all the same
	}
	return sha256.Sum256(data)
}

// saw notes what was in a file; nil Sources note nothing.
func (s *Sources) saw(path string, limit int64, data []byte, readable bool) {
	if s == nil {
		return
	}
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[source{path, limit}] = digestOf(data, readable)
}

// Changed reads the files again. It tells whether the content of any of them is
// not what it was, and identifies what is in them now.
func (s *Sources) Changed() (now Digest, changed bool) {
	s.mu.Lock()
	seen := make(map[source][sha256.Size]byte, len(s.seen))
	for file, was := range s.seen {
		seen[file] = was
	}
	s.mu.Unlock()
	place := Place{Origin: FromFile}
	for file, was := range seen {
		data, message := place.read("", file.path, file.limit)
		is := digestOf(data, message == "")
		if is != was {
			changed = true
		}
		// The files have no order; together they are the sum of their hashes.
		one := sha256.Sum256(append([]byte(file.path), is[:]...))
		for i := range now {
			now[i] ^= one[i]
		}
	}
	return now, changed
}

// Read is Load, and tells which files were read, also after a mistake.
func Read(path string, variable func(string) (string, bool)) (*File, *Sources, error) {
	s := &Sources{seen: map[source][sha256.Size]byte{}}
	f, err := loadFrom(path, variable, s)
	return f, s, err
}

// readMain reads the configuration file, which may be a pipe.
func readMain(path string, s *Sources) (data []byte, err error) {
	defer func() { s.saw(path, maxFile, data, err == nil && len(data) <= maxFile) }()
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
