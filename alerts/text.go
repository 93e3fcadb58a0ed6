package alerts

import (
	"fmt"
	"strings"
	"time"
)

// errorBytes is how much of an error's text is told: chats cut long messages.
const errorBytes = 500

// Title is the first line of a notification.
func (n Notification) Title() string {
	who := fmt.Sprintf("sink %s (environment %s)", n.Sink, n.Environment)
	switch n.State {
	case Trial:
		return "Session export: a trial notification"
	case Resolved:
		return "Resolved: " + who + ": " + n.Cause.Summary()
	case Repeated:
		return "Still: " + who + ": " + n.Cause.Summary()
	default:
		return "Alert: " + who + ": " + n.Cause.Summary()
	}
}

// Facts says what is known: since when, how many sessions wait or were lost,
// the last error, and the time left.
func (n Notification) Facts() string {
	if n.State == Trial {
		return "Nothing is wrong. Whoever reads this will be told when a sink is in trouble."
	}
	var facts []string
	add := func(format string, args ...any) { facts = append(facts, fmt.Sprintf(format, args...)) }
	if n.State == Resolved {
		add("It lasted for %s, since %s.", rough(n.At.Sub(n.Since)), stamp(n.Since))
	} else {
		add("Since %s.", stamp(n.Since))
	}
	switch {
	case n.Waiting > 0:
		add("%s in Kafka.", count(n.Waiting, "session waits", "sessions wait"))
	case n.Waiting == 0:
		add("No session waits.")
	}
	if n.Lost > 0 {
		add("%s %s.", count(n.Lost, "session was", "sessions were"), n.Cause.fate())
	}
	if n.Error != "" {
		add("Last error: %s.", strings.TrimRight(cut(n.Error), "."))
	}
	if !n.Until.IsZero() && n.State != Resolved {
		if left := n.Until.Sub(n.At); left > 0 {
			add("Time left: %s, until %s.", rough(left), stamp(n.Until))
		} else {
			add("No time is left.")
		}
	}
	return strings.Join(facts, "\n")
}

// Message is what people read: the facts, and what to do.
func (n Notification) Message() string {
	if n.State == Trial || n.State == Resolved {
		return n.Facts()
	}
	return n.Facts() + "\nWhat to do: " + n.Cause.Advice()
}

// fate is what became of lost sessions.
func (c Cause) fate() string {
	switch c {
	case SessionsDiscarded:
		return "discarded"
	case OutOfRange:
		return "missed"
	default:
		return "given up"
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// cut shortens a text to errorBytes, at the border of a character.
func cut(s string) string {
	if len(s) <= errorBytes {
		return s
	}
	return strings.ToValidUTF8(s[:errorBytes], "") + "…"
}
