package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sessionexport/settings"
	"sessionexport/trial"
)

// mappingFlags are what the command line says about a mapping.
type mappingFlags struct {
	config, export, target string
	index, lifecycle       string
	shards, replicas       int
	template               bool
}

func mappingCommand() *cobra.Command {
	var f mappingFlags
	c := &cobra.Command{
		Use:   "mapping",
		Short: "Print the mapping of an index for sessions in Elasticsearch or OpenSearch",
		Long: `Print the mapping of an index for sessions, as JSON to create the index with.

Without flags it is the one for Elasticsearch 7.3 and later. --export makes it
reflect an export of the configuration: its index, its document type where
the target has types, and a template of a data stream for opType=create.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options(cmd)
			if err != nil {
				return err
			}
			text, err := trial.Mapping(o)
			if err != nil {
				return &useError{err}
			}
			request, err := o.Request()
			if err != nil {
				return &useError{err}
			}
			for _, note := range o.Notes() {
				fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "this is the body of", request)
			if _, err := cmd.OutOrStdout().Write(text); err != nil {
				return fmt.Errorf("writing the mapping: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&f.config, "config", "config.yaml", "configuration file")
	c.Flags().StringVar(&f.export, "export", "", "id of the export whose settings the mapping reflects")
	c.Flags().StringVar(&f.target, "target", "", "search engine: "+strings.Join(trial.Targets(), ", ")+" (es6 is unproven)")
	c.Flags().BoolVar(&f.template, "template", false, "wrap the mapping as an index template (default for an export with opType=create)")
	c.Flags().StringVar(&f.index, "index", "", "index, alias or data stream (default: the export's, or "+trial.DefaultIndex+")")
	c.Flags().IntVar(&f.shards, "shards", trial.DefaultShards, "shards of the template's indices")
	c.Flags().IntVar(&f.replicas, "replicas", trial.DefaultReplicas, "replicas of the template's indices")
	c.Flags().StringVar(&f.lifecycle, "lifecycle", "", "index lifecycle policy that the template attaches")
	return c
}

func (f *mappingFlags) options(cmd *cobra.Command) (trial.MappingOptions, error) {
	var o trial.MappingOptions
	if f.export != "" || cmd.Flags().Changed("config") {
		e, err := f.find()
		if err != nil {
			return o, err
		}
		if !e.SendDirect.Active {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: the export %s does not send to Elasticsearch: this is the plain mapping.\n", e.ID)
		}
		o = trial.MappingFor(e)
	}
	changed := cmd.Flags().Changed
	if changed("template") {
		o.Template = f.template
	}
	for _, name := range []string{"shards", "replicas", "lifecycle"} {
		if changed(name) && !o.Template {
			return o, &useError{fmt.Errorf("--%s needs --template", name)}
		}
	}
	if changed("shards") && f.shards == 0 {
		return o, &useError{errors.New("--shards must be above 0")}
	}
	if changed("index") {
		o.Index = f.index
	}
	o.Shards, o.Replicas, o.Lifecycle = f.shards, &f.replicas, f.lifecycle
	var err error
	if o.Target, err = trial.ParseTarget(f.target); err != nil {
		return o, &useError{err}
	}
	return o, nil
}

// find returns the export that is named, or the only one that sends to
// Elasticsearch.
func (f *mappingFlags) find() (*settings.Export, error) {
	file, err := settings.Load(f.config, os.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("loading the configuration: %w", err)
	}
	var ids []string
	var direct []*settings.Export
	for i := range file.Environments {
		for k := range file.Environments[i].Exports {
			e := &file.Environments[i].Exports[k]
			if e.ID == f.export {
				return e, nil
			}
			ids = append(ids, e.ID)
			if e.SendDirect.Active {
				direct = append(direct, e)
			}
		}
	}
	switch {
	case f.export != "":
		return nil, &useError{fmt.Errorf("the configuration has no export %q: it has %s", f.export, strings.Join(ids, ", "))}
	case len(direct) == 1:
		return direct[0], nil
	}
	return nil, &useError{fmt.Errorf("name one of the exports with --export: %s", strings.Join(ids, ", "))}
}
