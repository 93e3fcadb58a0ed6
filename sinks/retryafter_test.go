package sinks

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var someDay = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRetryAfter(t *testing.T) {
	tests := []struct {
		value string
		wait  time.Duration
		ok    bool
	}{
		{"", 0, false},
		{"  ", 0, false},
		{"0", 0, true},
		{" 17 ", 17 * time.Second, true},
		{"3600", time.Hour, true},
		{"3601", time.Hour, true},
		{strings.Repeat("9", 100), time.Hour, true},
		{"-1", 0, false},
		{"1.5", 0, false},
		{"soon", 0, false},
		{someDay.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second, true},
		{someDay.Add(90 * time.Second).Format(time.RFC850), 90 * time.Second, true},
		{someDay.Add(90 * time.Second).Format(time.ANSIC), 90 * time.Second, true},
		{someDay.Add(-time.Hour).Format(http.TimeFormat), 0, true},
		{someDay.AddDate(500, 0, 0).Format(http.TimeFormat), time.Hour, true},
	}
	for _, tt := range tests {
		if wait, ok := retryAfter(tt.value, someDay); wait != tt.wait || ok != tt.ok {
			t.Errorf("retryAfter(%q) = %v, %t, want %v, %t", tt.value, wait, ok, tt.wait, tt.ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sun, 01 Mar 2026 12:00:30 GMT")
	f.Add("18446744073709551616")
	f.Fuzz(func(t *testing.T, value string) {
		wait, ok := retryAfter(value, someDay)
		if wait < 0 || wait > time.Hour || (!ok && wait != 0) {
			t.Fatalf("retryAfter(%q) = %v, %t", value, wait, ok)
		}
	})
}
