package demo

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// The sizes of the sessions, in bytes of JSON: log-normal, as measured sizes
// of such documents are, and cut off at both ends.
const (
	medianSize = 4_000
	sigmaSize  = 0.65 // of the logarithm: the mean is about 4.9 KB
	minSize    = 1_000
	maxSize    = 60_000
)

// epoch is the start of session 0, in milliseconds since 1970: 2026-01-01.
const epoch = 1_767_225_600_000

// Generator makes realistic user sessions. Session i depends on the seed and
// on i alone, so any process can make any of them again. It keeps no state and
// may be used by several goroutines at once.
type Generator struct {
	seed  uint64
	start int64 // of session 0, milliseconds since 1970
}

// NewGenerator returns the generator of one seed, whose sessions start in 2026.
func NewGenerator(seed uint64) *Generator { return &Generator{seed: seed, start: epoch} }

// Starting returns a generator of the same sessions at another time: session 0
// starts at t, or up to 5 s later, and each further one 13 ms after the last.
func (g *Generator) Starting(t time.Time) *Generator {
	return &Generator{seed: g.seed, start: t.UnixMilli()}
}

// kind of a session: it decides which fields a session carries.
type kind uint8

const (
	web kind = iota
	mobile
	synthetic
)

// outline is what is decided about a session before its first byte is written.
type outline struct {
	visitor uint64 // first part of the id
	size    int    // bytes of the whole document
	kind    kind
	app     int // index into applications
	other   int // application of the second user action, -1: the same
}

// twoAppSize is the size in bytes from which on there is room for a second
// user action in every kind of session.
const twoAppSize = 3_000

func (g *Generator) outline(i int) (rand.PCG, outline) {
	var r dice
	r.Seed(g.seed, uint64(i))
	r.Uint64()
	o := outline{visitor: 100_000_000 + r.Uint64()%900_000_000, other: -1}
	o.size = r.documentSize()
	switch share := r.upTo(100); {
	case share < 25:
		o.kind = mobile
	case share < 40:
		o.kind = synthetic
	}
	o.app = r.upTo(len(applications))
	if r.chance(10) && o.size >= twoAppSize {
		o.other = r.upTo(len(applications))
	}
	return r.PCG, o
}

// documentSize draws from the log-normal distribution by Box and Muller's transform.
func (r *dice) documentSize() int {
	norm := math.Sqrt(-2*math.Log(1-r.unit())) * math.Cos(2*math.Pi*r.unit())
	return min(max(int(medianSize*math.Exp(sigmaSize*norm)), minSize), maxSize)
}

// Size is the length of session i in bytes.
func (g *Generator) Size(i int) int {
	_, o := g.outline(i)
	return o.size
}

// Applications lists the names of the applications of session i's user
// actions, as a management zone sees them.
func (g *Generator) Applications(i int) []string {
	_, o := g.outline(i)
	names := []string{applications[o.app].name}
	if o.other >= 0 && o.other != o.app {
		names = append(names, applications[o.other].name)
	}
	return names
}

// AppendID appends the userSessionId of session i, which is also the key of
// its record: the visitor's number, an underscore, and i.
func (g *Generator) AppendID(dst []byte, i int) []byte {
	_, o := g.outline(i)
	return appendID(dst, o.visitor, i)
}

func appendID(dst []byte, visitor uint64, i int) []byte {
	dst = strconv.AppendUint(dst, visitor, 10)
	dst = append(dst, '_')
	return strconv.AppendInt(dst, int64(i), 10)
}

// Index tells which of the generator's sessions has this userSessionId. Ids of
// other origin are told apart, even when they look alike.
func (g *Generator) Index(id []byte) (int, bool) {
	at := len(id)
	for at > 0 && id[at-1] >= '0' && id[at-1] <= '9' {
		at--
	}
	if at == 0 || at == len(id) || len(id)-at > 12 || id[at-1] != '_' {
		return 0, false
	}
	i := 0
	for _, c := range id[at:] {
		i = 10*i + int(c-'0')
	}
	var own [40]byte
	if string(g.AppendID(own[:0], i)) != string(id) {
		return 0, false
	}
	return i, true
}

// dice are the random choices of one session.
type dice struct{ rand.PCG }

func (r *dice) unit() float64       { return float64(r.Uint64()>>11) / (1 << 53) }
func (r *dice) upTo(n int) int      { return int(r.Uint64() >> 33 % uint64(n)) }
func (r *dice) chance(pct int) bool { return r.upTo(100) < pct }

func pick[T any](r *dice, of []T) T { return of[r.upTo(len(of))] }
