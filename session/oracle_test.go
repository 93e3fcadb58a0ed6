package session

import (
	"bytes"
	"encoding/json"
	"io"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// zone matches applications that contain a word.
type zone string

func (z zone) Match(app []byte) bool { return bytes.Contains(app, []byte(z)) }

// expect reads value the slow way, with encoding/json alone.
func expect(value []byte, apps Applications) (Session, Reason) {
	out := Session{Value: value}
	switch {
	case len(bytes.Trim(value, " \t\r\n")) == 0:
		return out, Empty
	case !json.Valid(value):
		return out, NotJSON // or TooDeep
	}
	top, ok := members(value)
	switch {
	case !ok:
		return out, NotObject
	case !utf8.Valid(value):
		return out, InvalidUTF8
	}
	plain := true
	id := func(name string, has Fields) []byte {
		text, ok := top[name].(string)
		if !ok || text == "" {
			plain = false
			return nil
		}
		for _, r := range text {
			plain = plain && r >= ' ' && r <= '~' && r != '"' && r != '\\'
		}
		out.Has |= has
		return []byte(text)
	}
	out.TenantID = id("tenantId", HasTenantID)
	out.UserSessionID = id("userSessionId", HasUserSessionID)
	out.PlainIDs = plain
	if n, ok := top["startTime"].(json.Number); ok {
		if out.StartTime, ok = exact(string(n)); ok {
			out.Has |= HasStartTime
		}
	}
	_, out.HasTimestamp = top["@timestamp"]
	out.LineBreaks = bytes.ContainsAny(value, "\r\n") // inside strings they are not valid
	out.InScope = apps == nil
	actions, _ := top["userActions"].([]any)
	for _, a := range actions {
		action, _ := a.(map[string]any)
		for _, name := range []string{"application", "internalApplicationId"} {
			if text, ok := action[name].(string); ok && apps != nil && apps.Match([]byte(text)) {
				out.InScope = true
			}
		}
	}
	return out, ""
}

// members decodes an object; of duplicate keys the last counts, in all of it.
func members(value []byte) (map[string]any, bool) {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	var root any
	if err := dec.Decode(&root); err != nil {
		return nil, false
	}
	top, ok := root.(map[string]any)
	return top, ok
}

// exact is the value of a number that is integral and fits.
func exact(literal string) (int64, bool) {
	mantissa, exp, _ := strings.Cut(strings.ToLower(literal), "e")
	if strings.Trim(mantissa, "-0.") == "" {
		return 0, true
	}
	if exp != "" {
		if e, err := strconv.Atoi(exp); err != nil || e > 2000 || e < -2000 {
			return 0, false // tests have no mantissa that long
		}
	}
	r, ok := new(big.Rat).SetString(literal)
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	return r.Num().Int64(), true
}

// tokens decodes value for comparison, order and duplicates kept.
func tokens(value []byte) (all []json.Token) {
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	for {
		t, err := dec.Token()
		if err == io.EOF {
			return all
		} else if err != nil {
			return append(all, err)
		}
		all = append(all, t)
	}
}
