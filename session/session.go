// Package session is the ground floor: what one completed user session is, how
// it is read out of a record, and where it came from.
package session

// Fields tells which of the identifying fields a session has in the form that
// is needed to name it.
type Fields uint8

// The identifying fields.
const (
	HasTenantID      Fields = 1 << iota // "tenantId" is a string that is not empty
	HasUserSessionID                    // "userSessionId" is a string that is not empty
	HasStartTime                        // "startTime" is a number without a fraction that fits an int64
)

// Session is what a Scanner found in one record. Its slices point into the
// scanned value or into the scanner's own memory and hold until the next scan.
type Session struct {
	Value         []byte // the document as it came, one JSON object
	TenantID      []byte // decoded; valid with HasTenantID
	UserSessionID []byte // decoded; valid with HasUserSessionID
	StartTime     int64  // milliseconds since 1970; valid with HasStartTime
	Has           Fields
	InScope       bool // an application of a user action matched, or no scope was asked for
	LineBreaks    bool // a raw CR or LF stands between the tokens: it must be compacted to travel on one line
	HasTimestamp  bool // a top-level "@timestamp" is present
	PlainIDs      bool // both ids are printable ASCII without quote and backslash: they need no escaping in JSON
}

// Applications decides whether the name or the id of an application is in
// scope. It must not keep the slice.
type Applications interface {
	Match(application []byte) bool
}

// Position is where in the topic a session came from.
type Position struct {
	Partition int32
	Epoch     uint32 // counts the ownerships of the partition: a lost and regained partition has a new one
	Offset    int64
}
