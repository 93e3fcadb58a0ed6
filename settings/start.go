package settings

import "time"

// StartKind is where a group without offsets starts.
type StartKind uint8

// The starts.
const (
	StartLatest   StartKind = iota // with the sessions to come
	StartEarliest                  // with the oldest that the topic holds
	StartAt                        // with the first that is not older than a time
)

// StartFrom is where the first start of a sink begins to read.
type StartFrom struct {
	Kind StartKind
	Time time.Time // of StartAt
}

// String writes the start as the configuration does.
func (s StartFrom) String() string {
	switch s.Kind {
	case StartEarliest:
		return "earliest"
	case StartAt:
		return s.Time.UTC().Format(time.RFC3339Nano)
	default:
		return "latest"
	}
}

func parseStart(text string) (StartFrom, bool) {
	switch text {
	case "latest":
		return StartFrom{Kind: StartLatest}, true
	case "earliest":
		return StartFrom{Kind: StartEarliest}, true
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Before(time.Unix(0, 0)) {
		return StartFrom{}, false
	}
	return StartFrom{Kind: StartAt, Time: t.UTC()}, true
}
