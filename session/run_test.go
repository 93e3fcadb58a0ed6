package session

import (
	"bytes"
	"testing"
)

// checkRun lets run and runGo start at every quote of v, and compares where they
// stop and what they learn. Without the assembly they are the same function.
func checkRun(t *testing.T, v []byte) {
	t.Helper()
	a, b := new(Scanner), new(Scanner)
	for _, sc := range []*Scanner{a, b} {
		sc.value = v
		sc.marks.mark(v)
	}
	for _, h := range []*hints{topHints, actionHints, noHints} {
		a.hints, b.hints = h, h
		for p := range v {
			if v[p] != '"' {
				continue
			}
			end, what := a.run(p)
			endGo, whatGo := b.runGo(p)
			if end != endGo || what != whatGo || a.guesses != b.guesses {
				t.Fatalf("from %d: stopped at %d, %d; want %d, %d; guesses alike: %v, in %q", p, end, what, endGo, whatGo, a.guesses == b.guesses, v)
			}
		}
	}
}

func TestRun(t *testing.T) {
	for _, v := range corpus(t) {
		checkRun(t, v)
	}
	for _, s := range tricky {
		checkRun(t, []byte(s))
	}
	v := corpus(t)[0]
	for n := range min(len(v), 600) {
		checkRun(t, v[:n])              // cut off anywhere
		checkRun(t, v[len(v)-n:])       // and begun anywhere
		checkRun(t, bytes.Clone(v[n:])) // with other memory behind it
	}
}

func FuzzRun(f *testing.F) {
	for _, s := range tricky {
		if len(s) < 1000 {
			f.Add([]byte(s))
		}
	}
	f.Add(corpus(f)[0])
	f.Fuzz(checkRun)
}
