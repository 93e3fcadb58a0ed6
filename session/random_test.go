package session

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// writer writes documents at random: mostly valid, with the names that count
// in right and wrong places, more than once, and with all that JSON allows.
type writer struct {
	rng  *rand.Rand
	out  []byte
	flaw int // one in so many tokens is wrong
}

func pick[T any](w *writer, of ...T) T { return of[w.rng.IntN(len(of))] }

func (w *writer) raw(s string) {
	if w.flaw > 0 && w.rng.IntN(w.flaw) == 0 {
		s = pick(w, "", s+s, "\x00", "\xff", "\\", `"`, ",", "}", "]", "0", " ", "\n")
	}
	w.out = append(w.out, s...)
}

func (w *writer) space() {
	if w.rng.IntN(12) == 0 {
		w.raw(pick(w, " ", "\n", "\t", "\r\n", "    "))
	}
}

func (w *writer) text() {
	w.raw(`"`)
	for range w.rng.IntN(4) {
		w.raw(pick(w, "a", "shop", "shop", "shop", "word ", `\"`, `\\`, `\u00e9`, `\ud83d\ude00`, `\ud800`, "é", "東京", "😀",
			strings.Repeat("x", w.rng.IntN(70)), `\n`, "x[1],{y}:"))
	}
	w.raw(`"`)
}

func (w *writer) number() {
	w.raw(pick(w, "0", "-0", "7", "-12", "1622107543233", "0.5", "1e3", "1.5E-7", "120e-1",
		"1622107543233.0", "1.622107543233e12", "9223372036854775808", strconv.Itoa(w.rng.Int()), strings.Repeat("9", 1+w.rng.IntN(80))))
}

func (w *writer) value(depth int) {
	w.space()
	switch n := w.rng.IntN(10); {
	case depth > 0 && n == 0:
		w.object(depth-1, w.rng.IntN(6))
	case depth > 0 && n == 1:
		w.array(depth-1, w.rng.IntN(4))
	case n < 5:
		w.text()
	case n < 8:
		w.number()
	default:
		w.raw(pick(w, "null", "true", "false", "[]", "{}"))
	}
	w.space()
}

func (w *writer) array(depth, n int) {
	w.raw("[")
	for i := range n {
		if i > 0 {
			w.raw(",")
		}
		w.value(depth)
	}
	w.raw("]")
}

func (w *writer) object(depth, n int) {
	w.raw("{")
	for i := range n {
		if i > 0 {
			w.raw(",")
		}
		w.space()
		key := pick(w, "tenantId", "userSessionId", "startTime", "@timestamp", "userActions", "userActions", "userActions",
			"application", "application", "internalApplicationId", "internalApplicationId",
			"applicat", `\u0061pplication`, `tenant\u0049d`, "name", "a", "", "zzzzzzzzzzzzzzzzzzzz", "é", strings.Repeat("k", w.rng.IntN(90)))
		w.raw(`"` + key + `"`)
		w.space()
		w.raw(":")
		if key == "userActions" && w.rng.IntN(4) > 0 {
			w.actions(depth)
			continue
		}
		if strings.Contains(key, "pplication") && w.rng.IntN(4) > 0 {
			w.text()
			continue
		}
		w.value(depth)
	}
	w.raw("}")
}

func (w *writer) actions(depth int) {
	w.raw("[")
	for i := range w.rng.IntN(4) {
		if i > 0 {
			w.raw(",")
		}
		w.object(depth, w.rng.IntN(8))
	}
	w.raw("]")
}

func TestRandom(t *testing.T) {
	var sc Scanner
	valid, inScope := 0, 0
	for seed := range uint64(2000) {
		w := writer{rng: rand.New(rand.NewPCG(seed, 1))}
		if seed%2 == 1 {
			w.flaw = 100
		}
		w.object(3, w.rng.IntN(16))
		check(t, &sc, w.out)
		var out Session
		if sc.Scan(w.out, zone("shop"), &out) == nil {
			valid++
			if out.InScope {
				inScope++
			}
		}
	}
	if valid < 1000 || inScope < 60 {
		t.Fatalf("%d valid, %d in scope: the documents test too little", valid, inScope)
	}
}
