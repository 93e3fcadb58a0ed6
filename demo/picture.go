package demo

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
	"github.com/charmbracelet/x/ansi"
)

// picture is the model of the live view.
type picture struct {
	snapshot func() Snapshot
	history  history
	width    int  // of the terminal
	left     bool // the person has left
	done     bool // this is the last frame

	title, faint, good, bad, cell lipgloss.Style
}

// pictureWidth is that of a terminal that does not tell its own.
const pictureWidth = 80

func newPicture(snapshot func() Snapshot) *picture {
	style := lipgloss.NewStyle
	return &picture{
		snapshot: snapshot,
		width:    pictureWidth,
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
	fmt.Fprintf(&b, " %s  %s%s\n\n", p.title.Render("Session Export"), p.faint.Render(clock(s.Elapsed)), p.faint.Render(whereabouts(s.Scene)))
	b.WriteString(p.scene(s.Scene))
	produced := grouped(s.Produced)
	if s.Target > 0 {
		produced += " of " + grouped(s.Target)
	}
	fmt.Fprintf(&b, " sessions in  %s  %s\n\n", produced, p.faint.Render(perSecond(p.history.produced())))
	b.WriteString(p.sinks(s))
	b.WriteByte('\n')
	complaints := 0
	for _, sink := range s.Sinks {
		if text := sink.complaint(); text != "" {
			complaints++
			fmt.Fprintf(&b, " %s\n", p.bad.Render(sink.ID+": "+text))
		}
	}
	if s.Scene != nil && !p.done { // what follows stays in its place
		b.WriteString(strings.Repeat("\n", len(s.Sinks)-complaints))
	}
	b.WriteString(p.told(s.Told))
	if !p.done {
		fmt.Fprintf(&b, "\n %s", p.faint.Render("q leaves"))
	}
	return tea.NewView(b.String())
}

// whereabouts tells where the story is.
func whereabouts(s *Scene) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("   chapter %d of %d, about %s left", s.Number, s.Of, clock(s.Left))
}

// captionLines is how many lines a caption takes at least, so that what is
// below stays in its place.
const captionLines = 4

func (p *picture) scene(s *Scene) string {
	if s == nil {
		return ""
	}
	title := p.good.Render("▸ " + s.Title())
	if s.Broken {
		title = p.bad.Render("✗ " + s.Title())
	}
	caption := strings.Split(ansi.Wordwrap(s.Caption(), max(min(p.width-4, 100), 20), ""), "\n")
	for len(caption) < captionLines {
		caption = append(caption, "")
	}
	return " " + title + "\n   " + strings.Join(caption, "\n   ") + "\n\n"
}

// toldLines is how many alerts are shown.
const toldLines = 3

// told shows the latest alerts.
func (p *picture) told(all []Told) string {
	if len(all) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteByte('\n')
	for _, t := range all[max(len(all)-toldLines, 0):] {
		style := p.bad
		if t.Over {
			style = p.good
		}
		fmt.Fprintf(&b, " %s %s\n", p.faint.Render(clock(t.At)), style.Render(t.line()))
	}
	return b.String()
}

func (t Told) line() string {
	if t.Over {
		return "resolved " + printable(t.Text)
	}
	return "ALERT " + printable(t.Text)
}

// complaint is what a sink has to complain of, and what it does about it.
func (s *SinkSnapshot) complaint() string {
	if s.Error == "" {
		return ""
	}
	text := printable(s.Error)
	if s.NextProbe > 0 {
		text = fmt.Sprintf("probe in %d s, %s", int((s.NextProbe+time.Second-1)/time.Second), text)
	}
	return text
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
