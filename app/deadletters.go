package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/demo"
	"sessionexport/settings"
)

// DeadLetterOptions say what a command about dead letters works on.
type DeadLetterOptions struct {
	Config string
	Filter deadletter.Filter
	Output deadletter.Output
	Stdout io.Writer
	Stderr io.Writer // progress, when it is a terminal, and notes

	// Confirm asks a person, until ctx is done; nil goes ahead without asking.
	Confirm func(ctx context.Context, question string) (bool, error)
}

// desk is where dead letters are worked on.
type desk struct {
	o        DeadLetterOptions
	file     *settings.File
	log      *slog.Logger
	kafka    *consumer.Kafka
	records  *consumer.Topic
	letters  *deadletter.Topic
	progress *progress
}

// openDesk reads the configuration and makes no request. Its error may be
// settings.Problems.
func openDesk(o DeadLetterOptions) (*desk, error) {
	file, err := settings.Load(o.Config, os.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("loading the configuration: %w", err)
	}
	return newDesk(o, file)
}

// newDesk makes no request either.
func newDesk(o DeadLetterOptions, file *settings.File) (*desk, error) {
	d := &desk{o: o, file: file, progress: newProgress(o.Stderr, demo.IsTerminal(o.Stderr))}
	d.log = Logger(d.progress, file.Log)
	var err error
	if d.kafka, err = connect(file, d.log); err != nil {
		return nil, err
	}
	d.records = d.kafka.Topic(file.DeadLetters.Topic)
	d.letters = deadletter.Open(deadletter.Options{Client: d.kafka.Client(), Topic: file.DeadLetters.Topic, Logger: d.log})
	return d, nil
}

func (d *desk) close() {
	d.progress.clear()
	d.records.Close()
	_ = d.kafka.Close()
}

// note tells something on the side.
func (d *desk) note(format string, args ...any) {
	fmt.Fprintf(d.progress, format+"\n", args...)
}

func (d *desk) unreadable(n int64) {
	if n > 0 {
		d.note("%s of the topic's records are no dead letters of this version of the program; they were left alone", grouped(n))
	}
}

// each calls do for every chosen letter.
func (d *desk) each(ctx context.Context, do func(*deadletter.Letter) error) error {
	there, err := d.letters.Snapshot(ctx, d.records, d.progress.phase("looking"))
	if err != nil {
		return fmt.Errorf("looking for dead letters: %w", err)
	}
	d.progress.clear()
	var reading deadletter.Progress
	if !demo.IsTerminal(d.o.Stdout) { // or what is printed shows how far it is
		reading = d.progress.phase("reading")
	}
	var namer deadletter.Namer
	strange := int64(0)
	err = there.Each(ctx, reading, func(_ deadletter.At, l *deadletter.Letter, err error) error {
		switch {
		case err != nil:
			strange++
			return nil //nolint:nilerr // counted
		case !d.o.Filter.Match(l, &namer):
			return nil
		}
		return do(l)
	})
	d.progress.clear()
	d.unreadable(strange)
	return err //nolint:wrapcheck // it says what it was doing
}

// ListDeadLetters prints the letters that the filter chooses, without their
// bodies.
func ListDeadLetters(ctx context.Context, o DeadLetterOptions) error {
	return withDesk(ctx, o, func(ctx context.Context, d *desk) error {
		_, err := d.print(ctx, o.Stdout, false)
		return err
	})
}

// print prints the chosen letters and returns how many there were.
func (d *desk) print(ctx context.Context, to io.Writer, bodies bool) (int64, error) {
	printer, err := deadletter.NewPrinter(to, d.o.Output, bodies)
	if err != nil {
		return 0, fmt.Errorf("printing dead letters: %w", err)
	}
	printed, without := int64(0), int64(0)
	err = d.each(ctx, func(l *deadletter.Letter) error {
		err := printer.Print(l)
		var bare *deadletter.NoBodyError
		if errors.As(err, &bare) {
			if without++; without <= notesMost {
				d.note("left out: %v", bare)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("printing dead letters: %w", err)
		}
		printed++
		return nil
	})
	if err != nil {
		return printed, err
	}
	if err := printer.Close(); err != nil {
		return printed, fmt.Errorf("printing dead letters: %w", err)
	}
	if without > 0 {
		return printed, &leftOutError{letters: without, output: d.o.Output}
	}
	return printed, nil
}

// leftOutError is returned when all was read, and some letters have no form in
// the output that is wanted.
type leftOutError struct {
	letters int64
	output  deadletter.Output
}

func (e *leftOutError) Error() string {
	return fmt.Sprintf("%s of the letters could not be written as %s", grouped(e.letters), e.output)
}

// notesMost is how many notes of one sort are printed.
const notesMost = 20

// ShowDeadLetters prints letters with all that is known of them, bodies
// included. The filter names their keys; a key that is not there is an error.
func ShowDeadLetters(ctx context.Context, o DeadLetterOptions) error {
	return withDesk(ctx, o, func(ctx context.Context, d *desk) error {
		missing := map[string]bool{}
		for _, key := range o.Filter.Keys {
			missing[key] = true
		}
		var printer deadletter.Printer
		var err error
		if o.Output != deadletter.Table {
			if printer, err = deadletter.NewPrinter(o.Stdout, o.Output, true); err != nil {
				return fmt.Errorf("printing dead letters: %w", err)
			}
		}
		first := true
		err = d.each(ctx, func(l *deadletter.Letter) error {
			delete(missing, l.ID().String())
			if printer != nil {
				return printer.Print(l) //nolint:wrapcheck // it names the letter
			}
			if !first {
				fmt.Fprintln(o.Stdout)
			}
			first = false
			return deadletter.Describe(o.Stdout, l) //nolint:wrapcheck // of writing only
		})
		if printer != nil && err == nil {
			err = printer.Close()
		}
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			var keys []string
			for _, key := range o.Filter.Keys {
				if missing[key] {
					keys = append(keys, key)
				}
			}
			return fmt.Errorf("there is no dead letter %s", strings.Join(keys, ", "))
		}
		return nil
	})
}

// CountDeadLetters prints how many letters there are, by sink and cause.
func CountDeadLetters(ctx context.Context, o DeadLetterOptions) error {
	return withDesk(ctx, o, func(ctx context.Context, d *desk) error {
		t, err := d.tally(ctx)
		if err != nil {
			return err
		}
		return t.Print(o.Stdout, o.Output) //nolint:wrapcheck // of writing only
	})
}

// tally counts the chosen letters.
func (d *desk) tally(ctx context.Context) (*deadletter.Tally, error) {
	var t deadletter.Tally
	err := d.each(ctx, func(l *deadletter.Letter) error {
		t.Add(l)
		return nil
	})
	return &t, err
}

// DownloadDeadLetters writes the chosen letters with their bodies to a file,
// which must not exist and appears only when it is complete; "-" is the standard
// output.
func DownloadDeadLetters(ctx context.Context, o DeadLetterOptions, to string) error {
	return withDesk(ctx, o, func(ctx context.Context, d *desk) error {
		if to == "-" {
			_, err := d.print(ctx, o.Stdout, true)
			return err
		}
		if _, err := os.Lstat(to); err == nil {
			return fmt.Errorf("%s exists: it is not overwritten", to)
		}
		// Sessions are personal data: CreateTemp lets nobody else read the file.
		f, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
		if err != nil {
			return fmt.Errorf("creating the file: %w", err)
		}
		defer func() { _ = os.Remove(f.Name()) }()
		n, left := d.print(ctx, f, true)
		var without *leftOutError
		if left != nil && (n == 0 || !errors.As(left, &without)) { // what was cut off must not look complete
			_ = f.Close()
			return left
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("writing the file: %w", err)
		}
		if err := os.Link(f.Name(), to); err != nil { // unlike renaming, it overwrites nothing
			return fmt.Errorf("completing the file: %w", err)
		}
		d.note("%s letters in %s", grouped(n), to)
		return left
	})
}

// withDesk opens a desk for a work that a signal may end.
func withDesk(ctx context.Context, o DeadLetterOptions, work func(context.Context, *desk) error) error {
	d, err := openDesk(o)
	if err != nil {
		return err
	}
	defer d.close()
	soft, _, stop := Signals(ctx)
	defer stop()
	return cutOff(soft, work(soft, d))
}

// errEndedBySignal stands for whatever a work says that a signal cut off.
var errEndedBySignal = errors.New("ended by a signal")

func cutOff(soft context.Context, err error) error {
	if errors.Is(err, context.Canceled) && soft.Err() != nil {
		return errEndedBySignal
	}
	return err
}
