package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/term"

	"sessionexport/sinks/sinktest"
)

const trialPassword = "hush-password"

// trialStage is a broker with recent sessions, an endpoint and a folder with a
// configuration.
type trialStage struct {
	dir      string
	receiver *sinktest.Receiver
}

func newTrialStage(t *testing.T) *trialStage {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "sessions", "other"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic("sessions"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 60 {
		start := time.Now().Add(-time.Duration(i) * time.Minute).UnixMilli()
		document := fmt.Sprintf(`{"tenantId":"t","userSessionId":"s%d","startTime":%d,"userActions":[]}`, i, start)
		if err := client.ProduceSync(ctx, kgo.StringRecord(document)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s := &trialStage{dir: t.TempDir(), receiver: sinktest.New(t, sinktest.Options{})}
	s.file(t, "ca.pem", string(s.receiver.Authority.PEM()))
	config := fmt.Sprintf("version: 1\nkafka: {brokers: [%q]}\nenvironments:\n", cluster.ListenAddrs()[0])
	one := config + "  - id: default\n    topic: sessions\n    exports:\n" + indent(s.export("- id: saved", trialPassword), 6) + indent(s.export("- id: search", trialPassword, direct), 6)
	s.file(t, "one.yaml", one)
	s.file(t, "two.yaml", one+"  - id: second\n    topic: other\n")
	return s
}

func direct(e string) string {
	e = strings.ReplaceAll(e, "sendDirect: {active: false}", "sendDirect: {active: true, indexName: sessions}")
	return strings.ReplaceAll(e, `/in"`, `/_bulk", contentType: application/x-ndjson`)
}

func indent(text string, by int) string {
	blanks := strings.Repeat(" ", by)
	return blanks + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+blanks) + "\n"
}

// export is one item of exports. No password leaves it out.
func (s *trialStage) export(head, password string, change ...func(string) string) string {
	secret := ""
	if password != "" {
		secret = ", password: " + password
	}
	e := fmt.Sprintf(`%s
  endpointDefinition: {endpointUrl: "%s", enableUserSessionExport: false, usePost: true}
  authentication: {active: true, authType: basic, basicAuth: {username: exporter%s}}
  sendDirect: {active: false}
  exportBehavior: {disableNotification: false, customConfiguration: "caFile=%s"}
`, head, s.receiver.URL("/in"), secret, filepath.Join(s.dir, "ca.pem"))
	for _, f := range change {
		e = f(e)
	}
	return e
}

func (s *trialStage) file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// execute runs the program with what stdin holds.
func execute(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	in, out, problems := os.Stdin, os.Stdout, os.Stderr
	defer func() { os.Stdin, os.Stdout, os.Stderr = in, out, problems }()
	var files [3]*os.File
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "stream")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		files[i] = f
	}
	if _, err := files[0].WriteString(stdin); err != nil {
		t.Fatal(err)
	}
	if _, err := files[0].Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	os.Stdin, os.Stdout, os.Stderr = files[0], files[1], files[2]
	code = run(args)
	var texts [2]string
	for i, f := range files[1:] {
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	if all := texts[0] + texts[1]; strings.Contains(all, "hush") {
		t.Errorf("the output shows a secret:\n%s", all)
	}
	return code, texts[0], texts[1]
}

func TestTestExportCommand(t *testing.T) {
	s := newTrialStage(t)
	one, two := filepath.Join(s.dir, "one.yaml"), filepath.Join(s.dir, "two.yaml")
	unsaved := s.file(t, "export.yaml", s.export("- id: new", trialPassword))
	search := s.file(t, "search.yaml", s.export("- id: new", trialPassword, direct))
	insecure := s.file(t, "http.yaml", strings.ReplaceAll(s.export("- id: new", trialPassword), "https:", "http:"))
	for name, c := range map[string]struct {
		args   []string
		stdin  string
		answer sinktest.Step
		code   int
		sent   int // requests
		stdout string
		stderr string
	}{
		"saved":           {[]string{"--config", one, "--export", "saved"}, "", sinktest.Step{}, 0, 1, "delivered: 50 sessions", ""},
		"refused":         {[]string{"--config", one, "--export", "saved"}, "", sinktest.Status(401), 1, 1, "User or password is wrong", "not delivered"},
		"a file":          {[]string{"--config", one, "--file", unsaved}, "", sinktest.Step{}, 0, 1, "delivered: 50 sessions", ""},
		"elasticsearch":   {[]string{"--config", one, "--file", search}, "", sinktest.Step{}, 0, 2, "delivered: 50 sessions", ""},
		"standard input":  {[]string{"--config", one, "--file", "-"}, s.export("- id: new", trialPassword), sinktest.Step{}, 0, 1, "delivered: 50 sessions", ""},
		"environment":     {[]string{"--config", two, "--file", unsaved, "--environment", "default"}, "", sinktest.Step{}, 0, 1, "delivered: 50 sessions", ""},
		"nothing there":   {[]string{"--config", two, "--file", unsaved, "--environment", "second"}, "", sinktest.Step{}, 1, 0, "nothing was sent", "not delivered"},
		"not HTTPS":       {[]string{"--config", one, "--file", insecure}, "", sinktest.Step{}, 2, 0, "", "only HTTPS is allowed"},
		"no secret":       {[]string{"--config", one, "--file", "-"}, s.export("- id: new", ""), sinktest.Step{}, 2, 0, "", "authentication.basicAuth.password: is missing"},
		"which one":       {[]string{"--config", two, "--file", unsaved}, "", sinktest.Step{}, 2, 0, "", "--environment: default, second"},
		"unknown export":  {[]string{"--config", one, "--export", "lost"}, "", sinktest.Step{}, 2, 0, "", "its exports: saved, search"},
		"unknown place":   {[]string{"--config", one, "--file", unsaved, "--environment", "lost"}, "", sinktest.Step{}, 2, 0, "", "its environments: default"},
		"neither":         {[]string{"--config", one}, "", sinktest.Step{}, 2, 0, "", "--export or --file is required"},
		"both":            {[]string{"--config", one, "--export", "saved", "--file", unsaved}, "", sinktest.Step{}, 2, 0, "", "exclude each other"},
		"odd output":      {[]string{"--config", one, "--export", "saved", "--output", "xml"}, "", sinktest.Step{}, 2, 0, "", "--output is text or json"},
		"no file":         {[]string{"--config", one, "--file", filepath.Join(s.dir, "lost.yaml")}, "", sinktest.Step{}, 1, 0, "", "reading the export"},
		"no config":       {[]string{"--config", filepath.Join(s.dir, "lost.yaml"), "--export", "saved"}, "", sinktest.Step{}, 1, 0, "", "reading configuration"},
		"not an argument": {[]string{"saved"}, "", sinktest.Step{}, 2, 0, "", "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(s.receiver.Requests())
			s.receiver.Always(c.answer)
			code, stdout, stderr := execute(t, c.stdin, append([]string{"test-export"}, c.args...)...)
			if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d\nstdout:\n%s\nstderr:\n%s", code, stdout, stderr)
			}
			if sent := len(s.receiver.Requests()) - before; sent != c.sent {
				t.Errorf("%d requests, want %d", sent, c.sent)
			}
		})
	}
}

func TestTestExportAsJSON(t *testing.T) {
	s := newTrialStage(t)
	for status, want := range map[int]string{200: "delivered", 403: "refused"} {
		s.receiver.Always(sinktest.Status(status))
		code, stdout, _ := execute(t, "", "test-export", "--config", filepath.Join(s.dir, "one.yaml"), "--export", "saved", "--output", "json")
		var report struct {
			Delivered bool
			Verdict   string
			Sessions  int
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil {
			t.Fatalf("%v\n%s", err, stdout)
		}
		if report.Verdict != want || report.Delivered != (status == 200) || report.Sessions != 50 || code != map[bool]int{true: 0, false: 1}[report.Delivered] {
			t.Errorf("exit code %d, report %+v", code, report)
		}
	}
}

func TestTestExportWithoutKafka(t *testing.T) {
	s := newTrialStage(t)
	config := s.file(t, "away.yaml", "version: 1\nkafka: {brokers: [\"127.0.0.1:1\"]}\nenvironments: [{id: default, topic: sessions}]\n")
	code, stdout, stderr := execute(t, s.export("- id: new", trialPassword), "test-export", "--config", config, "--file", "-")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "looking for the topic") || len(s.receiver.Requests()) != 0 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestSampleCommand(t *testing.T) {
	s := newTrialStage(t)
	one := filepath.Join(s.dir, "one.yaml")
	file := filepath.Join(s.dir, "sample.ndjson")
	past := time.Now().Add(-30*time.Minute - 30*time.Second).Format(time.RFC3339)
	for name, c := range map[string]struct {
		args   []string
		code   int
		lines  int
		stderr string
	}{
		"plain":          {nil, 0, 50, ""},
		"more":           {[]string{"--count", "55"}, 0, 55, ""},
		"since":          {[]string{"--from", past}, 0, 31, ""},
		"until":          {[]string{"--to", past}, 0, 29, ""},
		"export":         {[]string{"--export", "saved"}, 0, 50, ""},
		"elasticsearch":  {[]string{"--export", "search"}, 0, 100, ""},
		"without secret": {[]string{"--file", s.file(t, "new.yaml", s.export("- id: new", ""))}, 0, 50, ""},
		"none":           {[]string{"--to", "2020-01-01T00:00:00Z"}, 1, 0, "no session in scope started between"},
		"no time":        {[]string{"--from", "yesterday"}, 2, 0, "--from is no time of RFC 3339"},
		"backwards":      {[]string{"--from", "2020-01-02T00:00:00Z", "--to", "2020-01-01T00:00:00Z"}, 2, 0, "--from must be before --to"},
		"too many":       {[]string{"--count", "100000"}, 2, 0, "--count must be between 1 and 10000"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"sample", "--config", one}, c.args...)
			code, stdout, stderr := execute(t, "", args...)
			if code != c.code || strings.Count(stdout, "\n") != c.lines || !strings.Contains(stderr, c.stderr) {
				t.Errorf("exit code %d, %d lines\n%s", code, strings.Count(stdout, "\n"), stderr)
			}
			_ = os.Remove(file)
			code, nothing, _ := execute(t, "", append(args, "--output", file)...)
			written, _ := os.ReadFile(file)
			if code != c.code || nothing != "" || string(written) != stdout {
				t.Errorf("to a file: exit code %d, %d bytes instead of %d", code, len(written), len(stdout))
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(s.dir, ".sample-*"))
	if err != nil || len(left) != 0 || len(s.receiver.Requests()) != 0 {
		t.Errorf("left behind %v, %d requests", left, len(s.receiver.Requests()))
	}
}

func TestReadSecretNeedsATerminal(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, ok := readSecret(t.Context(), f, io.Discard, "password"); ok || term.IsTerminal(int(f.Fd())) {
		t.Error("a secret was read from no terminal")
	}
}
