package sinks

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/klauspost/compress/gzip"

	"sessionexport/sinks/sinktest"
)

// BenchmarkAttempt counts what an attempt itself allocates, without a network.
func BenchmarkAttempt(b *testing.B) {
	for _, tt := range allFormats {
		b.Run(tt.name, func(b *testing.B) {
			answer := okAnswer(1000)
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return nil, err
				}
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(answer)))}, nil
			})
			f := mustFormat(b, tt.options)
			s := newSink(b, nil, Options{Format: f, Transport: transport, URL: &url.URL{Scheme: "https", Host: "x", Path: "/in"}})
			body := batchOf(b, f, 1000)
			b.SetBytes(int64(len(body.Bytes)))
			b.ReportAllocs()
			for b.Loop() {
				if v := s.Attempt(context.Background(), body); v.Kind != Delivered {
					b.Fatal(v)
				}
			}
		})
	}
}

// BenchmarkAttemptTLS is the same over TLS and loopback, receiver included.
func BenchmarkAttemptTLS(b *testing.B) {
	for _, http2 := range []bool{false, true} {
		b.Run(fmt.Sprintf("http2=%t", http2), func(b *testing.B) {
			r := sinktest.New(b, sinktest.Options{HTTP2: http2, ForgetBodies: true})
			s := newSink(b, r, Options{})
			body := Body{ID: "x", Bytes: append(bytes.Repeat([]byte("x"), 896_000-1), '\n'), Sessions: 1}
			b.SetBytes(int64(len(body.Bytes)))
			b.ReportAllocs()
			for b.Loop() {
				if v := s.Attempt(context.Background(), body); v.Kind != Delivered {
					b.Fatal(v)
				}
			}
		})
	}
}

// BenchmarkGzip compares levels on realistic sessions.
func BenchmarkGzip(b *testing.B) {
	framed, err := os.ReadFile("../session/testdata/sessions.ndjson")
	if err != nil {
		b.Fatal(err)
	}
	for _, level := range []int{gzip.BestSpeed, 3, gzip.DefaultCompression, gzip.BestCompression} {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			var buf bytes.Buffer
			w, err := gzip.NewWriterLevel(&buf, level)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(framed)))
			for b.Loop() {
				buf.Reset()
				w.Reset(&buf)
				if _, err := w.Write(framed); err != nil {
					b.Fatal(err)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(framed))/float64(buf.Len()), "ratio")
		})
	}
}
