//go:build services

package toxic_test

import (
	"bufio"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"sessionexport/services"
)

func TestMain(m *testing.M) { services.Main(m) }

// counter receives sessions that are numbered from 0 and knows up to which number none is missing.
type counter struct {
	token string // that requests have to show; "" is none

	mu       sync.Mutex
	times    map[int]int // by number
	received int
	whole    int // all below it came
}

// ServeHTTP implements http.Handler. A body that ends too soon, or has no valid sessions, counts for nothing.
func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.token != "" && r.Header.Get("Authorization") != "Bearer "+c.token {
		http.Error(w, "no token", http.StatusUnauthorized)
		return
	}
	var numbers []int
	lines := bufio.NewScanner(r.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var number int
		id, err := services.SessionID(lines.Text())
		if err == nil {
			_, err = fmt.Sscanf(id, "s-%d", &number)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		numbers = append(numbers, number)
	}
	if lines.Err() != nil {
		return // the connection broke: nobody hears an answer
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == nil {
		c.times = map[int]int{}
	}
	for _, number := range numbers {
		c.received++
		c.times[number]++
	}
	for c.times[c.whole] > 0 {
		c.whole++
	}
}

// state returns up to which number no session is missing, and how many came again.
func (c *counter) state() (whole, again int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whole, c.received - len(c.times)
}

// tokens is a token server whose tokens are good for two seconds.
func tokens(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":2}`, token)
}

const token = "t0ken-of-the-test"
