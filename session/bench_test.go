package session

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// sized is the corpus and its size.
func sized(b *testing.B) ([][]byte, int64) {
	sessions, n := corpus(b), 0
	for _, s := range sessions {
		n += len(s)
	}
	return sessions, int64(n)
}

// scanAll scans the whole corpus in each round.
func scanAll(b *testing.B, sessions [][]byte, apps Applications) {
	n := 0
	for _, s := range sessions {
		n += len(s)
	}
	var (
		sc  Scanner
		out Session
	)
	b.SetBytes(int64(n))
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range sessions {
			if err := sc.Scan(s, apps, &out); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkScan(b *testing.B) { scanAll(b, corpus(b), nil) }

// No application matches, so all user actions are asked about.
func BenchmarkScanScopeMiss(b *testing.B) { scanAll(b, corpus(b), zone("\x00")) }

func BenchmarkScanScopeHit(b *testing.B) { scanAll(b, corpus(b), zone("")) }

// With a space behind every colon and comma.
func BenchmarkScanSpaced(b *testing.B) {
	sessions := corpus(b)
	for i, s := range sessions {
		s = bytes.ReplaceAll(s, []byte(`":`), []byte(`": `))
		sessions[i] = bytes.ReplaceAll(s, []byte(`,"`), []byte(`, "`))
	}
	scanAll(b, sessions, nil)
}

func BenchmarkScanIndented(b *testing.B) {
	sessions := corpus(b)
	for i, s := range sessions {
		var indented bytes.Buffer
		if err := json.Indent(&indented, s, "", "  "); err != nil {
			b.Fatal(err)
		}
		sessions[i] = indented.Bytes()
	}
	scanAll(b, sessions, nil)
}

// The measure of it all: what the standard library takes to say yes or no.
func BenchmarkEncodingJSONValid(b *testing.B) {
	sessions, n := sized(b)
	b.SetBytes(n)
	for b.Loop() {
		for _, s := range sessions {
			if !json.Valid(s) || !utf8.Valid(s) {
				b.Fatal("not valid")
			}
		}
	}
}

func BenchmarkAppendCompact(b *testing.B) {
	sessions, n := sized(b)
	var dst []byte
	b.SetBytes(n)
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range sessions {
			dst = AppendCompact(dst[:0], s)
		}
	}
}
