//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sessionexport/settings"
)

// pseudoTerminal returns both ends of one.
func pseudoTerminal(t *testing.T) (master, tty *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return master, tty
}

// waitForEcho returns when the terminal's echo is on, or off.
func waitForEcho(t *testing.T, tty *os.File, on bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if (state.Lflag&unix.ECHO != 0) == on {
			return
		}
	}
	t.Fatalf("the echo is not %t", on)
}

// A secret is read from a terminal, and what is typed is not echoed.
func TestReadSecret(t *testing.T) {
	master, tty := pseudoTerminal(t)
	answered := make(chan settings.Secret, 1)
	go func() {
		s, _ := readSecret(t.Context(), tty, tty, "authentication.basicAuth.password")
		answered <- s
	}()
	const prompt = "authentication.basicAuth.password: "
	seen := make([]byte, len(prompt))
	if _, err := io.ReadFull(master, seen); err != nil || string(seen) != prompt {
		t.Fatalf("prompt %q, %v", seen, err)
	}
	waitForEcho(t, tty, false)
	if _, err := io.WriteString(master, trialPassword+"\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got.Reveal() != trialPassword {
		t.Errorf("read %q", got.Reveal())
	}
	rest := make([]byte, 100)
	n, err := master.Read(rest)
	if err != nil || strings.TrimSpace(string(rest[:n])) != "" {
		t.Errorf("echoed %q, %v", rest[:n], err)
	}
	waitForEcho(t, tty, true)
}

// Who gives up at the prompt gets a terminal that echoes.
func TestReadSecretInterrupted(t *testing.T) {
	master, tty := pseudoTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool, 1)
	go func() {
		_, ok := readSecret(ctx, tty, tty, "password")
		ended <- ok
	}()
	if _, err := io.ReadFull(master, make([]byte, len("password: "))); err != nil {
		t.Fatal(err)
	}
	waitForEcho(t, tty, false)
	cancel()
	if <-ended {
		t.Error("an answer was given")
	}
	waitForEcho(t, tty, true)
}
