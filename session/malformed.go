package session

import "fmt"

// Reason says in a stable snake_case word what makes a value no session.
type Reason string

// The reasons. Of those that hold, the one that the scanner meets first is given.
const (
	Empty       Reason = "empty"        // no bytes, or nothing but whitespace
	TooDeep     Reason = "too_deep"     // more than 10,000 arrays and objects inside each other
	NotJSON     Reason = "not_json"     // the grammar of JSON is broken
	NotObject   Reason = "not_object"   // valid JSON, but no object
	InvalidUTF8 Reason = "invalid_utf8" // the grammar holds, the bytes of a string are no UTF-8
)

// Malformed is the error of a value that is no session. It quotes nothing of
// the value.
type Malformed struct {
	Reason Reason
	At     int // the offset of the first byte that is wrong; the value's length when it ends too early
}

func (m *Malformed) Error() string {
	return fmt.Sprintf("malformed session: %s at byte %d", m.Reason, m.At)
}
