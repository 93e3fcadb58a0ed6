package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sessionexport/settings"
)

// ServeOptions say what Serve runs on.
type ServeOptions struct {
	Config string // path of the configuration file
	Watch  bool   // reload when the content of its files changed, not at SIGHUP alone
	Stderr io.Writer
}

// Serve runs the service on a configuration file until a signal ends it: the
// first one gracefully, a second one at once. SIGHUP reloads the file. A configuration with mistakes
// starts nothing; the error is then settings.Problems.
func Serve(ctx context.Context, o ServeOptions) error {
	// From the beginning on: a SIGHUP must never end the process.
	hangups := make(chan os.Signal, 1) // several at once are one reload
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	if o.Watch {
		if err := watchable(o.Config); err != nil {
			return err
		}
	}
	file, sources, err := settings.Read(o.Config, os.LookupEnv)
	if err != nil {
		return fmt.Errorf("loading the configuration: %w", err)
	}
	log, level := levelLogger(o.Stderr, file.Log)
	for _, w := range Warnings(file) {
		log.Warn("configuration", "warning", w)
	}
	tuneMemory(file)
	service, err := NewService(ServiceOptions{File: file, Logger: log, Level: level})
	if err != nil {
		return err
	}
	soft, hard, stop := Signals(ctx)
	defer stop()
	var looks <-chan time.Time
	if o.Watch {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		looks = ticker.C
	}
	done, reloaded := make(chan struct{}), make(chan struct{})
	defer func() {
		close(done)
		select {
		case <-reloaded:
		case <-time.After(takeLeave): // a file that cannot be read for now must not keep the process
		}
	}()
	r := &reloader{path: o.Config, sources: sources, reload: service.Reload, failed: service.reloadFailed, log: log}
	go func() {
		defer close(reloaded)
		r.run(soft, done, hangups, looks)
	}()
	ended := make(chan error, 1)
	go func() { ended <- service.Run(soft, hard) }()
	select {
	case err := <-ended:
		return err
	case <-hard.Done():
	}
	// Kafka may be away, and taking leave of it would wait for it.
	patience := time.NewTimer(takeLeave)
	defer patience.Stop()
	select {
	case err := <-ended:
		return err
	case <-patience.C:
		return errCutOff
	}
}

// takeLeave is how long the end may take after a second signal.
const takeLeave = time.Second

// errCutOff is returned by Serve when a second signal cut the end short.
var errCutOff = errors.New("ended at once, as a second signal asked for: what was not committed is read again")

// Warnings names what is valid and likely to be regretted: in the
// configuration, and variables that look like ours and are none.
func Warnings(file *settings.File) []string {
	return append(file.Warnings(time.Now()), settings.UnknownVariables(os.Environ())...)
}

// Signals returns two contexts: soft ends with the first SIGINT or SIGTERM,
// hard with the second.
func Signals(ctx context.Context) (soft, hard context.Context, stop func()) {
	soft, cancelSoft := context.WithCancel(ctx)
	hard, cancelHard := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancelSoft()
		case <-done:
			return
		}
		select {
		case <-signals:
			cancelHard()
		case <-done:
		}
	}()
	return soft, hard, func() {
		signal.Stop(signals)
		close(done)
		cancelSoft()
		cancelHard()
	}
}
