package settings

import (
	"bytes"
	"reflect"
	"strings"
)

// Adopt makes of another configuration what can come into force while this one
// is: everything but what takes a restart, which stays as it is here. restart
// names the keys that differ there, in the order of the file.
func (f *File) Adopt(next *File) (adopted *File, restart []string) {
	c := *next
	differ := func(path string, running, wanted any) {
		differences(path, reflect.ValueOf(running), reflect.ValueOf(wanted), func(path string) { restart = append(restart, path) })
	}
	differ("kafka", f.Kafka, next.Kafka)
	was, is := f.Kafka.TLS.Material(), next.Kafka.TLS.Material()
	if f.Kafka.TLS.CAFile == next.Kafka.TLS.CAFile && !bytes.Equal(was.ca, is.ca) {
		restart = append(restart, "kafka.tls.caFile (its content)")
	}
	if f.Kafka.TLS.CertFile == next.Kafka.TLS.CertFile && !bytes.Equal(was.pair, is.pair) {
		restart = append(restart, "kafka.tls.certFile (its content or its key's)")
	}
	differ("deadLetters", f.DeadLetters, next.DeadLetters)
	differ("server", f.Server, next.Server)
	differ("log.format", f.Log.Format, next.Log.Format)
	c.Kafka, c.DeadLetters, c.Server, c.Log.Format = f.Kafka, f.DeadLetters, f.Server, f.Log.Format
	return &c, restart
}

// Conflicts are what an adopted configuration gets wrong with what stayed.
func (f *File) Conflicts() Problems {
	var ps Problems
	for i := range f.Environments {
		if e := &f.Environments[i]; e.Topic == f.DeadLetters.Topic {
			ps = append(ps, Problem{
				Path: "environments." + e.ID + ".topic", Value: quote(e.Topic),
				Message: "is the topic of the dead letters until the restart that deadLetters.topic takes", Want: "a restart instead of a reload",
			})
		}
	}
	return ps
}

// differences reports the paths of the values that differ, by their keys in the file.
func differences(path string, a, b reflect.Value, report func(path string)) {
	switch x := a.Interface().(type) {
	case Secret:
		if y, _ := b.Interface().(Secret); x.Reveal() != y.Reveal() {
			report(path)
		}
		return
	default:
	}
	if a.Kind() != reflect.Struct {
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			report(path)
		}
		return
	}
	for i := range a.NumField() {
		if f := a.Type().Field(i); f.IsExported() {
			key, _, _ := strings.Cut(f.Tag.Get("key"), ",")
			differences(join(path, key), a.Field(i), b.Field(i), report)
		}
	}
}
