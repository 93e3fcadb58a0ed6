package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sessionexport/trial"
)

const mappingConfig = `version: 1
kafka: {brokers: ["127.0.0.1:9092"]}
environments:
  - id: default
    topic: sessions
    exports:
      - id: lines
        endpointDefinition: {endpointUrl: "https://127.0.0.1/w1", enableUserSessionExport: true, contentType: application/json, usePost: true}
        authentication: {active: false}
        sendDirect: {active: false}
        exportBehavior: {disableNotification: false}
      - id: stream
        endpointDefinition: {endpointUrl: "https://127.0.0.1/_bulk", enableUserSessionExport: true, contentType: application/x-ndjson, usePost: true}
        authentication: {active: false}
        sendDirect: {active: true, indexName: cdr, docType: _doc}
        exportBehavior: {disableNotification: false, customConfiguration: "opType=create"}
`

func TestMappingCommand(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(mappingConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	replicas, noReplicas := trial.DefaultReplicas, 0
	stream := trial.MappingOptions{Index: "cdr", DocType: "_doc", DataStream: true, Template: true}
	for _, c := range []struct {
		name string
		args []string
		want trial.MappingOptions
		said []string
	}{
		{"plain", nil, trial.MappingOptions{}, []string{"PUT /user-sessions"}},
		{"index", []string{"--index", "cdr"}, trial.MappingOptions{}, []string{"PUT /cdr"}},
		{"es6", []string{"--target", "es6"}, trial.MappingOptions{Target: trial.ES6}, []string{"unproven", "include_type_name=true"}},
		{"template", []string{"--target", "opensearch", "--template", "--shards", "1", "--replicas", "0"},
			trial.MappingOptions{Target: trial.OpenSearch, Template: true, Shards: 1, Replicas: &noReplicas}, []string{"PUT /_index_template/user-sessions", "flat_object"}},
		{"export", []string{"--config", config, "--export", "stream"}, stream, []string{"PUT /_index_template/cdr", "docType"}},
		{"the only one", []string{"--config", config}, stream, []string{"PUT /_index_template/cdr"}},
		{"export without its template", []string{"--config", config, "--export", "stream", "--template=false"},
			trial.MappingOptions{DataStream: true}, []string{"PUT /cdr", "needs a template"}},
		{"webhook", []string{"--config", config, "--export", "lines"}, trial.MappingOptions{}, []string{"does not send to Elasticsearch"}},
	} {
		var out, said bytes.Buffer
		cmd := mappingCommand()
		cmd.SetArgs(c.args)
		cmd.SetOut(&out)
		cmd.SetErr(&said)
		if err := cmd.Execute(); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.want.Replicas == nil {
			c.want.Replicas = &replicas
		}
		want, err := trial.Mapping(c.want)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%s: got\n%s", c.name, out.String())
		}
		for _, part := range c.said {
			if !strings.Contains(said.String(), part) {
				t.Errorf("%s: said %q, without %q", c.name, said.String(), part)
			}
		}
	}
}

func TestMappingCommandRefuses(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(mappingConfig, "stream", "other")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--target", "es5"}, "unknown target"},
		{[]string{"--shards", "2"}, "--shards needs --template"},
		{[]string{"--lifecycle", "keep"}, "--lifecycle needs --template"},
		{[]string{"--template", "--shards", "0"}, "above 0"},
		{[]string{"--template", "--replicas", "-1"}, "-1 replicas"},
		{[]string{"--template", "--target", "opensearch", "--lifecycle", "keep"}, "ism_template"},
		{[]string{"--config", config, "--export", "stream"}, "lines, other"},
	} {
		var out, said bytes.Buffer
		cmd := mappingCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(c.args)
		cmd.SetOut(&out)
		cmd.SetErr(&said)
		err := cmd.Execute()
		var use *useError
		if !errors.As(err, &use) || !strings.Contains(err.Error(), c.want) || out.Len() != 0 {
			t.Errorf("%v: %v, printed %q; want a wrong use with %q", c.args, err, out.String(), c.want)
		}
	}
	if code := run([]string{"mapping", "--config", filepath.Join(dir, "none.yaml"), "--export", "x"}); code != exitFailed {
		t.Errorf("a configuration that is not there: exit code %d, want %d", code, exitFailed)
	}
}
