package trial

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"sessionexport/settings"
)

const (
	dateFields     = "startTime,endTime"
	mappingTimeout = 5 * time.Second
	maxMapping     = 256 << 10 // bytes; two fields of as many indexes as an alias may have
)

// lookAtDates asks the cluster how it maps the times of sessions. A bulk answer
// cannot tell: without a mapping they are accepted as plain numbers. It is only
// a question: without the right to ask, nothing is said.
func lookAtDates(ctx context.Context, way http.RoundTripper, e *settings.Export) []Advice {
	ctx, cancel := context.WithTimeout(ctx, mappingTimeout)
	defer cancel()
	u := e.EndpointDefinition.EndpointURL.Parsed()
	u.Path = strings.TrimSuffix(u.Path, "/_bulk") + "/" + e.SendDirect.IndexName + "/_mapping/field/" + dateFields
	u.RawPath, u.RawQuery = "", ""
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Session-Export-Test", "true")
	answer, err := way.RoundTrip(r)
	if err != nil {
		return nil
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxMapping))
	if err != nil || answer.StatusCode != http.StatusOK {
		return nil
	}
	long := longDates(text)
	if len(long) == 0 {
		return nil
	}
	advice := (&situation{export: e}).first([]row{datesAsLong})
	advice.Cause = strings.ReplaceAll(advice.Cause, "{long}", strings.Join(long, ", "))
	return []Advice{advice}
}

// longDates lists the fields of an answer that are whole numbers.
func longDates(answer []byte) []string {
	var indexes map[string]struct {
		Mappings map[string]json.RawMessage `json:"mappings"`
	}
	if json.Unmarshal(answer, &indexes) != nil {
		return nil
	}
	type field struct {
		Mapping map[string]struct {
			Type string `json:"type"`
		} `json:"mapping"`
	}
	var long []string
	note := func(name string, raw json.RawMessage) {
		var f field
		if !slices.Contains(strings.Split(dateFields, ","), name) || json.Unmarshal(raw, &f) != nil {
			return
		}
		if t := f.Mapping[name].Type; (t == "long" || t == "float" || t == "double") && !slices.Contains(long, name) {
			long = append(long, name)
		}
	}
	for _, index := range indexes {
		for name, raw := range index.Mappings {
			note(name, raw)
			var typed map[string]json.RawMessage // version 6 puts the document type between
			if json.Unmarshal(raw, &typed) == nil {
				for inner, raw := range typed {
					note(inner, raw)
				}
			}
		}
	}
	slices.Sort(long)
	return long
}
