package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

// picture is the model of the live view.
type picture struct {
	snapshot func() Snapshot
	history  history
	left     bool // the person has left
	done     bool // this is the last frame

	title, faint, good, bad, cell lipgloss.Style
}

func newPicture(snapshot func() Snapshot) *picture {
	style := lipgloss.NewStyle
	return &picture{
		snapshot: snapshot,
		title:    style().Bold(true).Foreground(lipgloss.Color("12")),
		faint:    style().Faint(true),
		good:     style().Foreground(lipgloss.Color("10")),
		bad:      style().Foreground(lipgloss.Color("9")),
		cell:     style().PaddingLeft(1),
	}
}

// View draws a frame. The program cuts its lines at the terminal's edge, and
// leaves out the colours that the terminal does not have.
func (p *picture) View() tea.View {
	s := p.history.latest()
	var b strings.Builder
	fmt.Fprintf(&b, " %s  %s\n\n", p.title.Render("Session Export"), p.faint.Render(clock(s.Elapsed)))
	produced := grouped(s.Produced)
	if s.Target > 0 {
		produced += " of " + grouped(s.Target)
	}
	fmt.Fprintf(&b, " sessions in  %s  %s\n\n", produced, p.faint.Render(perSecond(p.history.produced())))
	b.WriteString(p.sinks(s))
	b.WriteByte('\n')
	for _, sink := range s.Sinks {
		if sink.Error != "" {
			fmt.Fprintf(&b, " %s\n", p.bad.Render(sink.ID+": "+printable(sink.Error)))
		}
	}
	if !p.done {
		fmt.Fprintf(&b, "\n %s\n", p.faint.Render("q leaves"))
	}
	return tea.NewView(b.String())
}

func (p *picture) sinks(s Snapshot) string {
	headers := []string{"sink", "state", "delivered", "rate", "lag", "dead", "last batch"}
	t := table.New().Headers(headers...).
		Border(lipgloss.NormalBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).BorderRight(false).
		BorderColumn(false).BorderRow(false).BorderHeader(true).BorderStyle(p.faint).
		StyleFunc(func(row, column int) lipgloss.Style {
			style := p.cell
			if column >= 2 && column <= 5 {
				style = style.Align(lipgloss.Right)
			}
			switch {
			case row == table.HeaderRow:
				style = style.Inherit(p.faint)
			case column == 1 && s.Sinks[row].Error == "":
				style = style.Inherit(p.good)
			case column == 1:
				style = style.Inherit(p.bad)
			}
			return style
		})
	for k, sink := range s.Sinks {
		t.Row(sink.ID, printable(sink.State), grouped(int(sink.Delivered)), perSecond(p.history.delivered(k)),
			lag(sink.Lag), grouped(int(sink.DeadLetters)), sink.Last.String())
	}
	return t.String()
}

// String is short enough for a cell.
func (b Batch) String() string {
	if b.Trigger == "" {
		return "-"
	}
	return fmt.Sprintf("%s: %s in %s", printable(b.Trigger), grouped(b.Sessions), size(b.Bytes))
}

// plainLines is the view where nothing can be drawn.
type plainLines struct {
	output  io.Writer
	history history
	errors  map[string]string // last printed, by sink
}

// print writes the line of one moment, and one more for each sink that has
// something new to complain of.
func (l *plainLines) print(s Snapshot) error {
	l.history.add(s)
	var b strings.Builder
	fmt.Fprintf(&b, "%s  in %s (%s)", clock(s.Elapsed), grouped(s.Produced), perSecond(l.history.produced()))
	for k, sink := range s.Sinks {
		fmt.Fprintf(&b, " | %s %s: %s (%s), lag %s", sink.ID, printable(sink.State), grouped(int(sink.Delivered)), perSecond(l.history.delivered(k)), lag(sink.Lag))
		if sink.DeadLetters > 0 {
			fmt.Fprintf(&b, ", dead letters %s", grouped(int(sink.DeadLetters)))
		}
		if sink.Last.Trigger != "" {
			fmt.Fprintf(&b, ", %s", sink.Last)
		}
	}
	b.WriteByte('\n')
	if l.errors == nil {
		l.errors = map[string]string{}
	}
	for _, sink := range s.Sinks {
		if sink.Error != "" && sink.Error != l.errors[sink.ID] {
			fmt.Fprintf(&b, "%s  %s: %s\n", clock(s.Elapsed), sink.ID, printable(sink.Error))
		}
		l.errors[sink.ID] = sink.Error
	}
	if _, err := io.WriteString(l.output, b.String()); err != nil {
		return fmt.Errorf("writing the view: %w", err)
	}
	return nil
}

func clock(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

func perSecond(rate float64) string { return grouped(int(rate+0.5)) + "/s" }

func lag(n int64) string {
	if n < 0 {
		return "?"
	}
	return grouped(int(n))
}

func size(bytes int) string {
	if bytes < 10_000 {
		return grouped(bytes) + " B"
	}
	return grouped(bytes/1_000) + " kB"
}

// maxText is how much of a failure's text the view shows.
const maxText = 200

// printable keeps a text that comes from outside from moving the cursor or
// breaking the line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return s
}
