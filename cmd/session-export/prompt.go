package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"sessionexport/settings"
)

// askSecret asks whoever sits at the terminal. Standard input may be anything,
// and a secret is never read from it.
func askSecret(ctx context.Context, path string) (settings.Secret, bool) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return settings.Secret{}, false
	}
	defer func() { _ = tty.Close() }()
	return readSecret(ctx, tty, tty, path)
}

// readSecret reads one line from a terminal without echo. When ctx ends first,
// the echo is switched on again.
func readSecret(ctx context.Context, tty *os.File, out io.Writer, path string) (settings.Secret, bool) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil { // no terminal
		return settings.Secret{}, false
	}
	fmt.Fprintf(out, "%s: ", path)
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		fmt.Fprintln(out)
		if l.err != nil || len(l.text) == 0 {
			return settings.Secret{}, false
		}
		return settings.NewSecret(string(l.text)), true
	case <-ctx.Done():
		// The goroutine that reads cannot be stopped; the process ends.
		_ = term.Restore(fd, before)
		fmt.Fprintln(out)
		return settings.Secret{}, false
	}
}
