package trial

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"sessionexport/consumer"
)

func take(t *testing.T, o SampleOptions) (lines []string, result SampleResult) {
	t.Helper()
	var out bytes.Buffer
	result, err := WriteSample(t.Context(), &out, o)
	if err != nil {
		t.Fatal(err)
	}
	if out.Len() != result.Bytes {
		t.Errorf("%d bytes reported, %d written", result.Bytes, out.Len())
	}
	if out.Len() == 0 {
		return nil, result
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"), result
}

func TestSampleFormats(t *testing.T) {
	const address = "https://receiver.example/_bulk"
	for name, c := range map[string]struct {
		setup  *setup
		action string
	}{
		"no export": {nil, ""},
		"json":      {&setup{url: address}, ""},
		"array":     {&setup{url: address, custom: []string{"bodyFormat=array"}}, ""},
		"gzip":      {&setup{url: address, custom: []string{"compression=gzip"}}, ""},
		"index":     {&setup{url: address, direct: "indexName: i"}, `{"index":{"_index":"i","_id":"t-s`},
		"type":      {&setup{url: address, direct: "indexName: i, docType: d"}, `{"index":{"_index":"i","_type":"d","_id":"t-s`},
		"create":    {&setup{url: address, direct: "indexName: i", custom: []string{"opType=create"}}, `{"create":{"_index":"i","_id":"t-s`},
	} {
		t.Run(name, func(t *testing.T) {
			o := SampleOptions{Log: recent(70)}
			if c.setup != nil {
				o.Export = c.setup.export(t, nil)
			}
			lines, result := take(t, o)
			want := 50
			if c.action != "" {
				want = 100
			}
			if len(lines) != want || result.Sessions != 50 {
				t.Fatalf("%d lines, %d sessions", len(lines), result.Sessions)
			}
			for i, line := range lines {
				if !json.Valid([]byte(line)) {
					t.Errorf("line %d is no JSON: %s", i, line)
				}
				if c.action != "" && i%2 == 0 && !strings.HasPrefix(line, c.action) {
					t.Errorf("action %s", line)
				}
			}
			if !strings.Contains(lines[want-want/50], `"userSessionId":"s20"`) && c.action == "" {
				t.Errorf("last line %s", lines[want-1])
			}
		})
	}
}

func TestSampleOfATimeAndACount(t *testing.T) {
	at := time.Now()
	var all []consumer.Record
	for i := range 300 {
		written := at.Add(-time.Duration(300-i) * time.Hour)
		all = append(all, record(i, written.Add(-time.Minute), written, "Shop"))
	}
	log := &memory{partitions: [][]consumer.Record{all}}
	for name, c := range map[string]struct {
		o    SampleOptions
		want int
	}{
		"default":        {SampleOptions{}, 50},
		"more":           {SampleOptions{Count: 120}, 120},
		"a week at most": {SampleOptions{Count: 1000}, 167},
		"since":          {SampleOptions{From: at.Add(-10*time.Hour - 30*time.Minute), Count: 1000}, 10},
		"between":        {SampleOptions{From: at.Add(-250 * time.Hour), To: at.Add(-240 * time.Hour), Count: 1000}, 10},
		"until":          {SampleOptions{To: at.Add(-200 * time.Hour), Count: 1000}, 101},
		"before all":     {SampleOptions{To: at.Add(-2000 * time.Hour)}, 0},
	} {
		c.o.Log = log
		if _, result := take(t, c.o); result.Sessions != c.want {
			t.Errorf("%s: %d sessions, want %d", name, result.Sessions, c.want)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestSampleThatCannotBeWritten(t *testing.T) {
	_, err := WriteSample(t.Context(), full{}, SampleOptions{Log: recent(3)})
	if err == nil || !strings.Contains(err.Error(), "writing the sample: no space") {
		t.Errorf("error %v", err)
	}
}
