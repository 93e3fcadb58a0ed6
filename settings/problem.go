package settings

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Problem is one mistake: where it is, what is wrong, and what would be right.
type Problem struct {
	Path     string // "environments[0].exports[1].authentication.basicAuth.password"
	File     string // the configuration file; "" when the value came another way
	Line     int    // in the file, from 1; 0 = not from the file
	Column   int
	Variable string // the environment variable that holds the value, if one does
	Value    string // as given, in quotes; Mask for a secret; "" when there is none to show
	Message  string
	Want     string // what would be right
}

// Pointer is the path as the settings API writes it: segments between slashes.
func (p Problem) Pointer() string {
	return strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(p.Path)
}

// String renders a problem on one line.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Variable != "":
		b.WriteString(p.Variable + ": ")
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	case p.File != "":
		b.WriteString(p.File + ": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Value != "" {
		b.WriteString(" (got " + p.Value + ")")
	}
	if p.Want != "" {
		b.WriteString("; want " + p.Want)
	}
	return b.String()
}

// Problems is every mistake of a configuration, in the order of its lines;
// those of environment variables come first. It is the error of Load.
type Problems []Problem

// Error renders the problems, one a line.
func (ps Problems) Error() string {
	var b strings.Builder
	ps.Render(&b)
	return strings.TrimSuffix(b.String(), "\n")
}

// Render writes the problems for people, one a line, and their number.
func (ps Problems) Render(w io.Writer) {
	for _, p := range ps {
		_, _ = fmt.Fprintln(w, p.String())
	}
	switch len(ps) {
	case 0:
	case 1:
		_, _ = fmt.Fprintln(w, "1 problem")
	default:
		_, _ = fmt.Fprintf(w, "%d problems\n", len(ps))
	}
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
}

// quote shows a value on one line, at most 80 characters of it.
func quote(text string) string {
	const most = 80
	if runes := []rune(text); len(runes) > most {
		return fmt.Sprintf("%q…", string(runes[:most]))
	}
	return fmt.Sprintf("%q", text)
}
