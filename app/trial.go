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
	"sessionexport/egress"
	"sessionexport/settings"
	"sessionexport/trial"
)

// Trial says which export is tried out: Export or File. A sample needs neither.
type Trial struct {
	Config      string // path of the configuration file
	Export      string // id of one of its exports
	File        string // path of an export that is saved nowhere; - is Stdin
	Environment string // whose topic is read with File or neither; "" = the only one
	Stdin       io.Reader
	Stderr      io.Writer // for the log
	// Ask asks a person for a secret; false when nobody can answer. nil: nobody can.
	Ask func(path string) (settings.Secret, bool)
}

// UseError says that what was asked for does not fit the configuration.
type UseError struct{ text string }

// Error names what is wrong.
func (e *UseError) Error() string { return e.text }

// opened is what a trial works with.
type opened struct {
	file        *settings.File
	environment *settings.Environment
	export      *settings.Export // nil when none was asked for
	topic       *consumer.Topic
	log         *slog.Logger
	close       func() error
}

// open loads the configuration and finds the export. The error is
// settings.Problems, *UseError, or that of reading a file. Nothing is sent.
func (t Trial) open() (*opened, error) {
	if t.Export != "" && t.File != "" {
		return nil, &UseError{"--export and --file exclude each other"}
	}
	file, err := settings.Load(t.Config, os.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("loading the configuration: %w", err)
	}
	o := &opened{file: file, log: Logger(t.Stderr, settings.Log{Level: "warn", Format: "text"})}
	if t.Export != "" {
		err = o.find(t.Export, t.Environment)
	} else if o.environment, err = environmentOf(file, t.Environment); err == nil && t.File != "" {
		err = o.read(t)
	}
	if err != nil {
		return nil, err
	}
	kafka, err := connect(file, o.log)
	if err != nil {
		return nil, err
	}
	o.topic = kafka.Topic(o.environment.Topic)
	o.close = func() error {
		o.topic.Close()
		return kafka.Close()
	}
	return o, nil
}

// find looks for an export of the configuration.
func (o *opened) find(id, environment string) error {
	var known []string
	for i := range o.file.Environments {
		env := &o.file.Environments[i]
		if environment != "" && env.ID != environment {
			continue
		}
		for k := range env.Exports {
			if env.Exports[k].ID == id {
				o.environment, o.export = env, &env.Exports[k]
				return nil
			}
			known = append(known, env.Exports[k].ID)
		}
	}
	if len(known) == 0 {
		known = []string{"there are none"}
	}
	return &UseError{fmt.Sprintf("no export %q in the configuration; its exports: %s", id, strings.Join(known, ", "))}
}

// read reads an export that is saved nowhere.
func (o *opened) read(t Trial) error {
	name, folder, in := t.File, filepath.Dir(t.File), t.Stdin
	if t.File == "-" {
		name, folder = "standard input", "."
	} else {
		f, err := os.Open(t.File)
		if err != nil {
			return fmt.Errorf("reading the export: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxExport))
	if err != nil {
		return fmt.Errorf("reading the export: %w", err)
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return fmt.Errorf("finding the folder of the export: %w", err)
	}
	export, err := settings.ParseUnsaved(data, name, settings.Place{
		Origin: settings.FromFile, Folder: folder, SecretsDir: o.file.SecretsDir,
		Zones: o.environment.ManagementZones, Deny: o.file.Egress.Deny,
	}, t.Ask)
	if err != nil {
		return fmt.Errorf("reading the export: %w", err)
	}
	o.export = &export
	return nil
}

// maxExport is more than an export may have; the parser says so.
const maxExport = 2 << 20 // bytes

// environmentOf returns the environment with the id, or the only one.
func environmentOf(file *settings.File, id string) (*settings.Environment, error) {
	var known []string
	for i := range file.Environments {
		if file.Environments[i].ID == id {
			return &file.Environments[i], nil
		}
		known = append(known, file.Environments[i].ID)
	}
	switch {
	case id != "":
		return nil, &UseError{fmt.Sprintf("no environment %q in the configuration; its environments: %s", id, strings.Join(known, ", "))}
	case len(known) > 1:
		return nil, &UseError{"the configuration has several environments: choose one with --environment: " + strings.Join(known, ", ")}
	default:
		return &file.Environments[0], nil
	}
}

// TestExport tests an export and reports what came of it. Nothing is sent
// before the whole of the configuration is found to be valid.
func TestExport(ctx context.Context, t Trial) (report *trial.Report, err error) {
	if t.Export == "" && t.File == "" {
		return nil, &UseError{"--export or --file is required"}
	}
	o, err := t.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	return trial.Test(ctx, trial.TestOptions{
		Log: o.topic, Environment: o.environment.ID, Topic: o.environment.Topic, Export: o.export,
		Rules:   egress.Rules{Allow: o.file.Egress.Allow, Deny: o.file.Egress.Deny},
		Version: Version, Logger: o.log,
	})
}

// Sample writes sessions as the export would send them. The Log and the Export
// of the options are filled in here.
func Sample(ctx context.Context, t Trial, w io.Writer, so trial.SampleOptions) (result trial.SampleResult, err error) {
	t.Ask = func(string) (settings.Secret, bool) { return settings.NewSecret("nothing is sent"), true }
	o, err := t.open()
	if err != nil {
		return trial.SampleResult{}, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	so.Log, so.Export = o.topic, o.export
	return trial.WriteSample(ctx, w, so)
}
