package app

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionexport/deadletter"
)

// colourful are letters of all sorts, in one partition of their topic each so
// that their order is known.
func colourful() []deadletter.Letter {
	plain := letter("lines", 1)
	rude := letter("lines", 2)
	rude.Kind, rude.Reason, rude.Error, rude.Status = "poison", "reset", "connection reset\x1b[31m by <peer>\t\u202e", 0
	bare := letter("bulk", 3)
	bare.Body, bare.BodyOmitted, bare.BodySize, bare.Kind, bare.Reason, bare.Attempts = nil, true, 20<<20, "rejected", "oversize", 0
	text := letter("bulk", 4)
	text.Body, text.Reason, text.Status, text.Attempts = []byte("not \x1b[2J JSON \xff\n"), "not_json", 0, 0
	text.BodySize = len(text.Body)
	broken := letter("bulk", 5)
	broken.Body = []byte("{\n  \"userSessionId\": \"<s5>\",\n  \"tenantId\": \"acme\"\n}\n")
	broken.BodySize, broken.Reason = len(broken.Body), "missing_start_time"
	return []deadletter.Letter{plain, rude, bare, text, broken}
}

func TestDeadLettersOutputs(t *testing.T) {
	s := newLetterStage(t, "")
	all := colourful()
	// Letters are listed in the order of the topic: partition by partition. The
	// keys of these are spread the same way every time.
	s.write(all...)
	key := all[1].ID().String()
	for name, c := range map[string]struct {
		do func(context.Context, DeadLetterOptions) error
		o  DeadLetterOptions
	}{
		"list.txt":     {ListDeadLetters, DeadLetterOptions{}},
		"list.json":    {ListDeadLetters, DeadLetterOptions{Output: deadletter.JSON}},
		"list.ndjson":  {ListDeadLetters, DeadLetterOptions{Output: deadletter.NDJSON}},
		"none.txt":     {ListDeadLetters, DeadLetterOptions{Filter: deadletter.Filter{Sinks: []string{"nobody"}}}},
		"none.json":    {ListDeadLetters, DeadLetterOptions{Output: deadletter.JSON, Filter: deadletter.Filter{Sinks: []string{"nobody"}}}},
		"count.txt":    {CountDeadLetters, DeadLetterOptions{}},
		"count.json":   {CountDeadLetters, DeadLetterOptions{Output: deadletter.JSON}},
		"count.ndjson": {CountDeadLetters, DeadLetterOptions{Output: deadletter.NDJSON, Filter: deadletter.Filter{Sinks: []string{"lines"}}}},
		"show.txt": {ShowDeadLetters, DeadLetterOptions{Filter: deadletter.Filter{
			Keys: []string{key, all[2].ID().String(), all[3].ID().String()}}}},
		"show.json":       {ShowDeadLetters, DeadLetterOptions{Output: deadletter.JSON, Filter: deadletter.Filter{Keys: []string{key}}}},
		"show.raw":        {ShowDeadLetters, DeadLetterOptions{Output: deadletter.Raw, Filter: deadletter.Filter{Keys: []string{all[4].ID().String()}}}},
		"download.ndjson": {downloadTo("-"), DeadLetterOptions{Output: deadletter.NDJSON}},
		"download.sessions": {downloadTo("-"), DeadLetterOptions{Output: deadletter.Sessions,
			Filter: deadletter.Filter{Reasons: []string{"status", "missing_start_time"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			if err := s.run(c.do, c.o); err != nil {
				t.Fatal(err)
			}
			golden(t, name, s.out.String())
			if s.notes.Len() > 0 {
				t.Errorf("notes:\n%s", s.notes.String())
			}
			for _, bad := range []string{"\x1b", "\u202e"} {
				if strings.HasSuffix(name, ".txt") && strings.Contains(s.out.String(), bad) {
					t.Errorf("%q reaches the terminal", bad)
				}
			}
		})
	}
}

func downloadTo(file string) func(context.Context, DeadLetterOptions) error {
	return func(ctx context.Context, o DeadLetterOptions) error { return DownloadDeadLetters(ctx, o, file) }
}

func TestDownloadToAFile(t *testing.T) {
	s := newLetterStage(t, "")
	all := colourful()
	s.write(all...)
	to := filepath.Join(s.dir, "letters.ndjson")
	if err := s.run(downloadTo(to), DeadLetterOptions{Output: deadletter.NDJSON}); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(to)
	if err != nil || strings.Count(string(first), "\n") != len(all) {
		t.Errorf("%q, error %v", first, err)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, error %v", info.Mode(), err)
	}
	if err := s.run(downloadTo(to), DeadLetterOptions{Output: deadletter.NDJSON}); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("error %v", err)
	}
	// Some have no session to write: they are named, and the rest is there.
	sessions := filepath.Join(s.dir, "sessions")
	err = s.run(downloadTo(sessions), DeadLetterOptions{Output: deadletter.Sessions})
	if err == nil || !strings.Contains(err.Error(), "2 of the letters") || strings.Count(s.notes.String(), "left out") != 2 ||
		!strings.Contains(s.notes.String(), `topic "sessions", partition 3, offset 3`) {
		t.Errorf("error %v\n%s", err, s.notes.String())
	}
	if text, err := os.ReadFile(sessions); err != nil || strings.Count(string(text), "\n") != 3 {
		t.Errorf("%q, error %v", text, err)
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, ".*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
}

func TestShowWhatIsNotThere(t *testing.T) {
	s := newLetterStage(t, "")
	s.write(letter("lines", 1))
	err := s.run(ShowDeadLetters, DeadLetterOptions{Filter: deadletter.Filter{Keys: []string{"default/lines/sessions/1/1", "default/lines/sessions/1/2"}}})
	if err == nil || err.Error() != "there is no dead letter default/lines/sessions/1/2" {
		t.Errorf("error %v", err)
	}
}

func TestNoTopicOfDeadLetters(t *testing.T) {
	s := newLetterStage(t, "")
	err := s.run(ListDeadLetters, DeadLetterOptions{})
	var known *deadletter.Error
	if !errors.As(err, &known) || known.Kind != deadletter.Missing {
		t.Errorf("error %v", err)
	}
}

func TestDrop(t *testing.T) {
	s := newLetterStage(t, "")
	s.write(letters(20, "lines", "bulk")...)
	var asked string
	answer := false
	o := DeadLetterOptions{
		Filter: deadletter.Filter{Sinks: []string{"lines"}},
		Confirm: func(_ context.Context, question string) (bool, error) {
			asked = question
			return answer, nil
		},
	}
	if err := s.run(DropDeadLetters, o); !errors.Is(err, errUnasked) || len(s.keys()) != 20 {
		t.Errorf("error %v, %d are left", err, len(s.keys()))
	}
	if asked != "Drop for ever 10 dead letters (10 of default/lines)?" {
		t.Errorf("asked %q", asked)
	}
	answer = true
	if err := s.run(DropDeadLetters, o); err != nil || s.out.String() != "dropped 10 of 10 dead letters of default/lines\n" {
		t.Errorf("error %v, printed %q", err, s.out.String())
	}
	for _, key := range s.keys() {
		if !strings.HasPrefix(key, "default/bulk/") {
			t.Errorf("%s is left", key)
		}
	}
	asked = ""
	if err := s.run(DropDeadLetters, o); err != nil || asked != "" {
		t.Errorf("asked %q about nothing, error %v", asked, err)
	}
	o.Filter, o.Confirm = deadletter.Filter{}, nil
	if err := s.run(DropDeadLetters, o); err != nil || len(s.keys()) != 0 {
		t.Errorf("error %v, left %v", err, s.keys())
	}
}

// A signal ends a command with words of its own, whatever it cut off.
func TestSignalEndsACommand(t *testing.T) {
	s := newLetterStage(t, "")
	s.write(letter("lines", 1))
	err := s.run(DropDeadLetters, DeadLetterOptions{Confirm: func(ctx context.Context, _ string) (bool, error) {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			return false, err
		}
		<-ctx.Done()
		return false, ctx.Err()
	}})
	if !errors.Is(err, errEndedBySignal) || len(s.keys()) != 1 {
		t.Errorf("error %v, left %v", err, s.keys())
	}
}

// What was cut off half-way does not stay behind as a file that looks complete.
func TestDownloadThatIsCutOff(t *testing.T) {
	s := newLetterStage(t, "")
	s.write(letters(20, "lines")...)
	var fetches, most atomic.Int64
	most.Store(math.MaxInt64)
	s.cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		req, ok := r.(*kmsg.FetchRequest)
		if fetches.Add(1) < most.Load() || !ok {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.FetchResponse) //nolint:forcetypeassert // it is its kind
		for _, asked := range req.Topics {
			topic := kmsg.FetchResponseTopic{Topic: asked.Topic, TopicID: asked.TopicID}
			for _, p := range asked.Partitions {
				topic.Partitions = append(topic.Partitions, kmsg.FetchResponseTopicPartition{Partition: p.Partition, ErrorCode: kerr.TopicAuthorizationFailed.Code})
			}
			res.Topics = append(res.Topics, topic)
		}
		return res, nil, true
	})
	if err := s.run(downloadTo(filepath.Join(s.dir, "whole")), DeadLetterOptions{Output: deadletter.JSON}); err != nil {
		t.Fatal(err)
	}
	most.Store(fetches.Swap(0)) // the last one
	to := filepath.Join(s.dir, "half")
	err := s.run(downloadTo(to), DeadLetterOptions{Output: deadletter.JSON})
	if err == nil {
		t.Error("no error")
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a part is left: %v", err)
	}
}
