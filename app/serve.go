package app

import (
	"context"
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
	Stderr io.Writer
}

// Serve runs the service on a configuration file until a signal ends it: the
// first one gracefully, a second one at once. A configuration with mistakes
// starts nothing; the error is then settings.Problems.
func Serve(ctx context.Context, o ServeOptions) error {
	file, err := settings.Load(o.Config, os.LookupEnv)
	if err != nil {
		return fmt.Errorf("loading the configuration: %w", err)
	}
	log := Logger(o.Stderr, file.Log)
	for _, w := range Warnings(file) {
		log.Warn("configuration", "warning", w)
	}
	tuneMemory(file)
	service, err := NewService(ServiceOptions{File: file, Logger: log})
	if err != nil {
		return err
	}
	soft, hard, stop := Signals(ctx)
	defer stop()
	return service.Run(soft, hard)
}

// Warnings names what is valid and likely to be regretted: in the
// configuration, and variables that look like ours and are none.
func Warnings(file *settings.File) []string {
	all := file.Warnings(time.Now())
	for _, v := range settings.UnknownVariables(os.Environ()) {
		all = append(all, fmt.Sprintf("the environment variable %s sets nothing", v))
	}
	return all
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
