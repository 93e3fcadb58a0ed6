package deadletter

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/segmentio/kafka-go"
)

func sample() Letter {
	return Letter{
		Environment: "default", Sink: "shop-lines", Kind: "rejected", Reason: "status", Status: 400,
		Error: "the endpoint answered 400", Attempts: 4,
		First:   time.Date(2026, 5, 4, 3, 2, 1, 123456000, time.UTC),
		Last:    time.Date(2026, 5, 4, 3, 2, 41, 0, time.UTC),
		Source:  Source{Topic: "sessions", Partition: 3, Offset: 4711, Timestamp: time.Date(2026, 5, 4, 3, 2, 0, 5e6, time.UTC)},
		Format:  "ndjson",
		Session: "tenant-ABCD-1777863720005",
		Body:    []byte(`{"tenantId":"tenant"}`),
		// What Encode derives from the body.
		BodySize: 21,
	}
}

func TestRoundTrip(t *testing.T) {
	omitted := sample()
	omitted.Body, omitted.BodyOmitted, omitted.BodySize = nil, true, 17<<20
	empty := sample()
	empty.Body, empty.BodySize = []byte{}, 0
	bare := Letter{Sink: "s", Source: Source{Topic: "t"}, Body: []byte("x"), BodySize: 1}
	slash := sample()
	slash.Environment = "a/b%2Fc d"
	for name, want := range map[string]Letter{"full": sample(), "omitted": omitted, "empty body": empty, "bare": bare, "slash": slash} {
		t.Run(name, func(t *testing.T) {
			m := Encode(&want)
			if m.Value == nil {
				t.Fatal("the value is nil: it would delete the letter")
			}
			got, err := Decode(m)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestHeadersAsDocumented(t *testing.T) {
	l := sample()
	m := Encode(&l)
	want := `dead-letter-version=1
environment=default
sink=shop-lines
kind=rejected
reason=status
status=400
error=the endpoint answered 400
attempts=4
first-attempt=2026-05-04T03:02:01.123456Z
last-attempt=2026-05-04T03:02:41.000000Z
source-topic=sessions
source-partition=3
source-offset=4711
source-timestamp=2026-05-04T03:02:00.005000Z
format=ndjson
session=tenant-ABCD-1777863720005
body-size=21
`
	var got strings.Builder
	for _, h := range m.Headers {
		got.WriteString(h.Key + "=" + string(h.Value) + "\n")
	}
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	if key := string(m.Key); key != "default/shop-lines/sessions/3/4711" {
		t.Errorf("key %q", key)
	}
	if !bytes.Equal(m.Value, l.Body) {
		t.Errorf("value %q", m.Value)
	}
}

func TestErrorIsCutToValidText(t *testing.T) {
	l := sample()
	l.Error = strings.Repeat("ä", maxError) + "\xff"
	got, err := Decode(Encode(&l))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Error) > maxError || len(got.Error) < maxError-utf8.UTFMax || !utf8.ValidString(got.Error) {
		t.Errorf("%d bytes, valid %v", len(got.Error), utf8.ValidString(got.Error))
	}
}

func TestDecodeTombstone(t *testing.T) {
	l := sample()
	got, err := Decode(kafka.Message{Key: []byte(l.ID().String())})
	if !errors.Is(err, ErrTombstone) {
		t.Fatalf("error %v", err)
	}
	if got.ID() != l.ID() {
		t.Errorf("identity %+v", got.ID())
	}
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	change := func(name, value string) func(*kafka.Message) {
		return func(m *kafka.Message) {
			for i := range m.Headers {
				if m.Headers[i].Key == name {
					m.Headers[i].Value = []byte(value)
				}
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*kafka.Message)
		header string
	}{
		"key":              {func(m *kafka.Message) { m.Key = []byte("a/b/c/1") }, "key"},
		"key negative":     {func(m *kafka.Message) { m.Key = []byte("a/b/c/-1/2") }, "key"},
		"key not escaped":  {func(m *kafka.Message) { m.Key = []byte("a%/b/c/1/2") }, "key"},
		"key not a number": {func(m *kafka.Message) { m.Key = []byte("a/b/c/1/x") }, "key"},
		"key leading zero": {func(m *kafka.Message) { m.Key = []byte("a/b/c/01/2") }, "key"},
		"no headers":       {func(m *kafka.Message) { m.Headers = nil }, HeaderVersion},
		"newer":            {change(HeaderVersion, "2"), HeaderVersion},
		"status":           {change(HeaderStatus, "4xx"), HeaderStatus},
		"attempts":         {change(HeaderAttempts, "-1"), HeaderAttempts},
		"first":            {change(HeaderFirst, "yesterday"), HeaderFirst},
		"sink differs":     {change(HeaderSink, "another"), HeaderSink},
		"offset differs":   {change(HeaderSourceOffset, "1"), HeaderSourceOffset},
		"cut body":         {func(m *kafka.Message) { m.Value = m.Value[:5] }, HeaderBodySize},
	} {
		t.Run(name, func(t *testing.T) {
			l := sample()
			m := Encode(&l)
			c.change(&m)
			_, err := Decode(m)
			var e *DecodeError
			if !errors.As(err, &e) || e.Header != c.header {
				t.Errorf("error %v, want one about %s", err, c.header)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	l := sample()
	m := Encode(&l)
	f.Add(string(m.Key), m.Value, "status", "400", "first-attempt", "2026-05-04T03:02:01.123456Z")
	f.Add("a/b/c/1/2", []byte(nil), "dead-letter-version", "1", "body-omitted", "true")
	f.Add("%2F/b/c/1/2", []byte("x"), "body-size", "1", "environment", "/")
	f.Fuzz(func(t *testing.T, key string, value []byte, name1, value1, name2, value2 string) {
		m := kafka.Message{Key: []byte(key), Value: value, Headers: []kafka.Header{
			{Key: HeaderVersion, Value: []byte(Version)},
			{Key: name1, Value: []byte(value1)},
			{Key: name2, Value: []byte(value2)},
		}}
		if id, err := ParseID(key); err == nil {
			m.Headers = append(m.Headers, Encode(&Letter{
				Environment: id.Environment, Sink: id.Sink, Body: value,
				Source: Source{Topic: id.Topic, Partition: id.Partition, Offset: id.Offset},
			}).Headers...)
		}
		got, err := Decode(m)
		if err != nil {
			return
		}
		if got.ID().String() != key {
			t.Fatalf("key %q became %q", key, got.ID())
		}
		again, err := Decode(Encode(&got))
		if err != nil {
			t.Fatalf("not read again: %v", err)
		}
		// The text of the error may be cut; all else stays.
		got.Error, again.Error = "", ""
		if len(got.Body) == 0 {
			got.Body, again.Body = nil, nil
		}
		if !reflect.DeepEqual(got, again) {
			t.Fatalf("read %+v\nthen %+v", got, again)
		}
	})
}
