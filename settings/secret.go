package settings

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
)

// Mask is what every rendering of a secret shows.
const Mask = "***"

// masked is the form in which the settings API shows a stored secret. It is
// never a secret itself.
var masked = regexp.MustCompile(`^\*\*\*\d\d\d\*\*\*$`)

// Secret is a text that no formatting, logging or encoding shows. Only Reveal
// gives it away. Its zero value is the empty secret.
type Secret struct {
	// A pointer, because fmt does not call the methods of what stands in an
	// unexported field, and prints no more than an address of a nested pointer.
	value *string
}

// NewSecret wraps a text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{value: &text}
}

// Reveal returns the secret itself.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty tells whether there is no secret.
func (s Secret) Empty() bool { return s.value == nil }

// String returns Mask.
func (s Secret) String() string { return Mask }

// GoString returns Mask.
func (s Secret) GoString() string { return Mask }

// Format writes Mask, whatever the verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, Mask) }

// LogValue returns Mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Mask) }

// MarshalText returns Mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// MarshalJSON returns Mask.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(Mask) }

// MarshalYAML returns Mask.
func (s Secret) MarshalYAML() (any, error) { return Mask, nil }
