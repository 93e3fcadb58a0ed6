package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"sessionexport/deadletter"
	"sessionexport/sinks/sinktest"
)

// redriven runs a redrive and returns its outcome by sink.
func (s *letterStage) redriven(o DeadLetterOptions) (map[string]Redriven, error) {
	s.t.Helper()
	o.Output = deadletter.JSON
	err := s.run(RedriveDeadLetters, o)
	var outcome struct{ Sinks []Redriven }
	if s.out.Len() > 0 {
		if err := json.Unmarshal(s.out.Bytes(), &outcome); err != nil {
			s.t.Fatalf("%v: %s", err, s.out.String())
		}
	}
	all := map[string]Redriven{}
	for _, r := range outcome.Sinks {
		all[r.Sink] = r
	}
	return all, err
}

func sessionsOf(r *sinktest.Receiver) int {
	n := 0
	for _, q := range r.Requests() {
		n += len(q.Sessions)
	}
	return n
}

func TestRedriveDelivers(t *testing.T) {
	s := newLetterStage(t, "maxSessions=50")
	s.write(letters(300, "lines", "bulk")...)
	got, err := s.redriven(DeadLetterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, sink := range []string{"lines", "bulk"} {
		if want := (Redriven{Environment: "default", Sink: sink, Chosen: 150, Delivered: 150}); got[sink] != want {
			t.Errorf("%+v", got[sink])
		}
	}
	if keys := s.keys(); len(keys) != 0 {
		t.Errorf("%d letters are left", len(keys))
	}
	for _, r := range []*sinktest.Receiver{s.lines, s.bulk} {
		if n := len(r.Accepted()); n != 150 || sessionsOf(r) != 150 {
			t.Errorf("%d sessions arrived, %d in all", n, sessionsOf(r))
		}
		for _, q := range r.Requests() {
			if len(q.Sessions) > 50 {
				t.Errorf("a batch of %d", len(q.Sessions))
			}
		}
	}
	if _, password, _ := basicOf(s.lines.Requests()[0]); password == "" {
		t.Error("the credentials of the sink were not used")
	}
	// Nothing is chosen any more.
	if got, err := s.redriven(DeadLetterOptions{}); err != nil || len(got) != 0 {
		t.Errorf("%v, error %v", got, err)
	}
}

func basicOf(r sinktest.Request) (user, password string, ok bool) {
	value := r.Header.Get("Authorization")
	return "", strings.TrimPrefix(value, "Basic "), strings.HasPrefix(value, "Basic ")
}

// An old letter never overwrites a newer document: _bulk creates, what is there
// already counts as done, and the document is the session as it was.
func TestRedriveOverwritesNothing(t *testing.T) {
	s := newLetterStage(t, "")
	s.write(letters(10, "bulk")...)
	s.bulk.Always(sinktest.Step{Item: func(one sinktest.Session) (int, string) {
		if strings.HasSuffix(one.Key, "3") {
			return 409, "version_conflict_engine_exception"
		}
		return 201, ""
	}})
	got, err := s.redriven(DeadLetterOptions{})
	if err != nil || got["bulk"].Delivered != 10 || len(s.keys()) != 0 {
		t.Errorf("%+v, error %v", got, err)
	}
	for _, r := range s.bulk.Requests() {
		for _, one := range r.Sessions {
			if one.Op != "create" || one.ID != one.Key {
				t.Errorf("action %s of %s for %s", one.Op, one.ID, one.Key)
			}
			if bytes.Contains(one.Document, []byte("@timestamp")) {
				t.Errorf("the document was changed: %s", one.Document)
			}
		}
	}
}

// What fails again keeps its history; others of its batch get through.
func TestRedriveFailsAgain(t *testing.T) {
	s := newLetterStage(t, "")
	s.write(letters(20, "bulk")...)
	s.bulk.Always(sinktest.Step{Item: func(one sinktest.Session) (int, string) {
		if strings.HasPrefix(one.Key, "acme-s7-") {
			return 400, "strict_dynamic_mapping_exception"
		}
		return 201, ""
	}})
	old := letter("bulk", 7)
	for n := 1; n <= 2; n++ {
		got, err := s.redriven(DeadLetterOptions{})
		if err == nil || !strings.Contains(err.Error(), "1 of ") || got["bulk"].FailedAgain != 1 || got["bulk"].Left != 0 {
			t.Errorf("%+v, error %v", got, err)
		}
		if n == 2 {
			break
		}
		s.write(letter("bulk", 8)) // a witness for the second time
	}
	left := s.living()
	l, ok := left[old.ID().String()]
	if len(left) != 1 || !ok {
		t.Fatalf("left %v", left)
	}
	if l.Attempts != old.Attempts+2 || !l.First.Equal(old.First) || !l.Last.After(old.Last) ||
		l.Reason != "strict_dynamic_mapping_exception" || l.Status != 400 || !bytes.Equal(l.Body, old.Body) || l.Source != old.Source {
		t.Errorf("%+v", l)
	}
}

// One delivery after the other fails: the redrive gives up instead of trying
// all the rest in vain, and every letter is still there.
func TestRedriveGivesUp(t *testing.T) {
	s := newLetterStage(t, "maxSessions=10\nmaxInFlight=1")
	s.write(letters(200, "lines")...)
	s.lines.Always(sinktest.Status(503))
	got, err := s.redriven(DeadLetterOptions{})
	r := got["lines"]
	if err == nil || !strings.Contains(err.Error(), "200 of 200") || !strings.Contains(r.Error, "503") {
		t.Errorf("%+v, error %v", got, err)
	}
	if r.Delivered != 0 || r.Left == 0 || r.FailedAgain+r.Left != 200 || len(s.keys()) != 200 {
		t.Errorf("%+v, %d are there", r, len(s.keys()))
	}
	if n := len(s.lines.Requests()); n < 3 || n > 6 {
		t.Errorf("%d requests", n)
	}
	// Once the endpoint is well, the rest and what had failed gets through.
	s.lines.Always(sinktest.Step{})
	if got, err := s.redriven(DeadLetterOptions{}); err != nil || got["lines"].Delivered != 200 || len(s.keys()) != 0 {
		t.Errorf("%+v, error %v", got, err)
	}
}

// Discarding is for sessions that Kafka still has: a redrive never does.
func TestRedriveNeverDiscards(t *testing.T) {
	s := newLetterStage(t, "onFailure=discard")
	s.write(letter("lines", 1))
	s.lines.Always(sinktest.Status(500))
	got, err := s.redriven(DeadLetterOptions{})
	if err == nil || got["lines"].FailedAgain != 1 || len(s.keys()) != 1 {
		t.Errorf("%+v, error %v", got, err)
	}
}

func TestRedriveLeavesWhatItCannotSend(t *testing.T) {
	s := newLetterStage(t, "")
	bare := letter("lines", 1)
	bare.Body, bare.BodyOmitted, bare.BodySize = nil, true, 20<<20
	foreign := letter("lines", 2)
	foreign.Body = bytes.ReplaceAll(foreign.Body, []byte(`"shop"`), []byte(`"bank"`))
	foreign.BodySize = len(foreign.Body)
	broken := letter("lines", 3)
	broken.Body, broken.BodySize, broken.Reason = []byte("[]"), 2, "not_object"
	s.write(bare, foreign, broken, letter("lines", 4), letter("off", 5), letter("gone", 6))
	got, err := s.redriven(DeadLetterOptions{})
	if err == nil || !strings.Contains(err.Error(), "5 of 6") || len(s.keys()) != 5 {
		t.Errorf("%d are left, error %v", len(s.keys()), err)
	}
	want := Redriven{Environment: "default", Sink: "lines", Chosen: 4, Delivered: 1, FailedAgain: 1, OutOfScope: 1, WithoutBody: 1}
	if got["lines"] != want {
		t.Errorf("%+v", got["lines"])
	}
	if r := got["off"]; r.Left != 1 || !strings.Contains(r.Error, "disabled") {
		t.Errorf("%+v", r)
	}
	if r := got["gone"]; r.Left != 1 || !strings.Contains(r.Error, "no such sink") {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(s.notes.String(), `topic "sessions", partition 1, offset 1`) {
		t.Errorf("the letter without a body is not named:\n%s", s.notes.String())
	}
	if l := s.living()[broken.ID().String()]; l.Reason != "not_object" || string(l.Body) != "[]" || l.Attempts != broken.Attempts {
		t.Errorf("%+v", l)
	}
}

func TestRedriveChoosesAndAsks(t *testing.T) {
	s := newLetterStage(t, "")
	s.write(letters(12, "lines", "bulk")...)
	var asked string
	o := DeadLetterOptions{
		Filter:  deadletter.Filter{Sessions: []string{"s3", "s4", "acme-s5-1700000000005"}},
		Confirm: func(_ context.Context, question string) (bool, error) { asked = question; return false, nil },
	}
	if _, err := s.redriven(o); !errors.Is(err, errUnasked) || sessionsOf(s.lines)+sessionsOf(s.bulk) != 0 {
		t.Errorf("error %v", err)
	}
	if asked != "Send again 3 dead letters (2 of default/bulk, 1 of default/lines)?" {
		t.Errorf("asked %q", asked)
	}
	o.Confirm = nil
	if _, err := s.redriven(o); err != nil || len(s.keys()) != 9 {
		t.Errorf("%d are left, error %v", len(s.keys()), err)
	}
	s.lines.Always(sinktest.Status(500))
	o.Filter = deadletter.Filter{Sinks: []string{"lines"}}
	if err := s.run(RedriveDeadLetters, o); err == nil || !strings.HasPrefix(s.out.String(), "default/lines: 5 chosen, 0 delivered, 5 failed again\n") {
		t.Errorf("error %v, printed:\n%s", err, s.out.String())
	}
}

// redriveProcess names the configuration that TestRedriveProcess works on.
const redriveProcess = "TEST_REDRIVE_PROCESS"

// TestRedriveProcess is the process that TestRedriveResumes kills.
func TestRedriveProcess(t *testing.T) {
	config := os.Getenv(redriveProcess)
	if config == "" {
		return // an ordinary run of the tests
	}
	err := RedriveDeadLetters(t.Context(), DeadLetterOptions{Config: config, Output: deadletter.JSON, Stdout: io.Discard, Stderr: io.Discard})
	t.Fatalf("it came to its end: %v", err)
}

// A process that redrives is killed half way, twice. The next one sends what is
// left: nothing is lost, and sent twice is only what was on its way.
func TestRedriveResumes(t *testing.T) {
	const all, batch, inFlight = 600, 20, 2
	s := newLetterStage(t, "maxSessions=20\nmaxInFlight=2")
	s.write(letters(all, "lines")...)
	good := slices.Repeat([]sinktest.Step{{}}, 8)
	s.lines.Always(sinktest.Break(sinktest.HangRead))
	for range 2 {
		before, there := len(s.lines.Requests()), len(s.keys())
		s.lines.Script(good...)
		p := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRedriveProcess$")
		p.Env = append(os.Environ(), redriveProcess+"="+s.config())
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		// Eight batches are taken and what comes behind them hangs. The process dies
		// when it has ended the letters of most of them.
		if !s.lines.WaitFor(before+len(good)+1, time.Minute) {
			t.Error("too few requests")
		}
		for deadline := time.Now().Add(time.Minute); len(s.keys()) > there-(len(good)-inFlight)*batch; {
			if time.Now().After(deadline) {
				t.Fatal("the letters are not ended")
			}
		}
		_ = p.Process.Kill()
		_ = p.Wait()
	}
	taken := len(s.lines.Accepted())
	left := len(s.keys())
	if left == 0 || left < all-taken {
		t.Fatalf("%d letters are left, %d sessions were taken", left, taken)
	}
	s.lines.Always(sinktest.Step{})
	got, err := s.redriven(DeadLetterOptions{})
	if err != nil || got["lines"].Delivered != int64(left) || len(s.keys()) != 0 {
		t.Errorf("%+v, error %v", got, err)
	}
	accepted := s.lines.Accepted()
	if len(accepted) != all {
		t.Errorf("%d of %d sessions arrived", len(accepted), all)
	}
	twice := 0
	for key, n := range accepted {
		if n > 1 {
			twice += n - 1
		}
		if n > 3 {
			t.Errorf("%s arrived %d times", key, n)
		}
	}
	// Per death: what was on the wire, and what was accepted and not ended yet.
	if most := 2 * 2 * inFlight * batch; twice > most {
		t.Errorf("%d sessions arrived twice, want at most %d", twice, most)
	}
}
