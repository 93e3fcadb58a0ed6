package sinks

// kindWords are the kinds' names in metrics, logs and docs.
var kindWords = [...]string{"delivered", "retryable", "throttled", "partial", "too_large", "unauthorised", "refused", "suspect", "rejected", "interrupted"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindWords) {
		return kindWords[k]
	}
	return "unknown"
}
