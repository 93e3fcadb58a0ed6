package sinks

import "net/http"

// Types of a 400 that are about the index, not about the document; they tell the
// two apart where the status does not.
const (
	typeIndexClosed      = "index_closed_exception"
	typeInvalidIndexName = "invalid_index_name_exception"
	typeValidation       = "validation_exception" // the cluster's shard limit
)

// judgeItem is the table of _bulk items: by status and, where a status is
// ambiguous, by type, never by text. A conflict is delivered as well: with the
// create operation a 409 says that the session is there already.
//
// With the index operation a 409 comes only from versions that an ingest pipeline
// assigns. The document that is there may be another one, so the session is
// Suspect: it ends in the dead letters instead of being taken for delivered.
func judgeItem(status int, errorType string, create bool) (kind Kind, conflict bool) {
	switch {
	case status >= 200 && status < 300:
		return Delivered, false
	case status == http.StatusConflict && create:
		return Delivered, true
	case status == http.StatusTooManyRequests:
		return Throttled, false
	case status >= 500 && status < 600, status == http.StatusRequestTimeout, status == http.StatusTooEarly:
		return Retryable, false
	case status == http.StatusConflict, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return Suspect, false
	case status == http.StatusBadRequest:
		switch errorType {
		case typeIndexClosed, typeInvalidIndexName, typeValidation:
			return Refused, false
		}
		return Suspect, false
	default:
		return Refused, false
	}
}
