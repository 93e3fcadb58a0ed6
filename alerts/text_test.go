package alerts

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

var causes = []Cause{
	DeliveryFailed, DeadLettersGrow, Poison, LettersUnwritable, SessionsDiscarded, OutOfRange, Unreadable, TokenServer,
	CertificateExpires, RetentionNear, Stopped,
}

func TestTexts(t *testing.T) {
	var b strings.Builder
	show := func(n Notification) {
		b.WriteString("== " + n.Title() + "\n" + n.Message() + "\n\n")
	}
	open := Notification{Key: key(DeliveryFailed), State: Opened, At: noon.Add(90 * time.Minute), Since: noon, Waiting: 70_000, Error: "503 Service Unavailable"}
	show(open)
	repeated := open
	repeated.State, repeated.Waiting = Repeated, 1
	show(repeated)
	resolved := open
	resolved.State, resolved.Waiting = Resolved, 0
	show(resolved)
	for _, c := range causes[1:] {
		n := Notification{Key: key(c), State: Opened, At: noon.Add(time.Minute), Since: noon, Waiting: -1}
		switch c {
		case DeadLettersGrow, Poison:
			n.Lost, n.Error = 1, "rejected: mapper_parsing_exception, answered 400"
		case SessionsDiscarded, OutOfRange:
			n.Lost = 12
		case CertificateExpires, RetentionNear:
			n.Until = noon.Add(26 * time.Hour)
		}
		show(n)
	}
	late := Notification{Key: key(RetentionNear), State: Repeated, At: noon, Since: noon.Add(-3 * day), Waiting: 5, Until: noon.Add(-time.Hour)}
	show(late)
	show(Notification{Key: Key{Environment: "trial", Sink: "trial"}, State: Trial, At: noon, Since: noon, Waiting: -1})
	const golden = "testdata/texts.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the texts changed; run with -update and look at the difference:\n%s", b.String())
	}
}

func TestEveryCauseIsExplained(t *testing.T) {
	for _, c := range causes {
		if c.Summary() == string(c) || c.Advice() == "" || c.Severity() == "" {
			t.Errorf("%s: summary %q, advice %q", c, c.Summary(), c.Advice())
		}
	}
}

func TestLongErrorIsCut(t *testing.T) {
	n := Notification{Key: key(DeliveryFailed), State: Opened, Since: noon, At: noon, Error: strings.Repeat("é", 5000)}
	if m := n.Message(); len(m) > 1200 || !utf8.ValidString(m) {
		t.Errorf("%d bytes, valid %v", len(m), utf8.ValidString(m))
	}
}
