package harness

// fullBytes is the least that a body holds which was closed because the next
// session did not fit: 896,000 bytes less the largest session. fullCount is
// the number that closes one by itself.
const (
	fullBytes = 896_000 - 61_000
	fullCount = 1000
)

// latencies are the milliseconds between the append of the last session of
// each full body and the first byte of its request: counted from before the
// session was given to the producer, and from its acknowledgement. The truth,
// the append within the broker, lies between the two. Bodies that were sent
// because nothing came any more are only counted.
func latencies(arrivals []Arrival, appended [][2]int64) (sent, acknowledged []float64, notFull int) {
	for _, a := range arrivals {
		if a.Bytes < fullBytes && a.Sessions < fullCount || a.Last < 0 || a.Last >= len(appended) {
			notFull++
			continue
		}
		t := appended[a.Last]
		sent = append(sent, float64(a.First-t[0])/1e6)
		acknowledged = append(acknowledged, float64(a.First-t[1])/1e6)
	}
	return sent, acknowledged, notFull
}
