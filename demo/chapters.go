package demo

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Chapter is a part of a Story: one defect of one receiver.
type Chapter struct {
	Fault   string // its name; "": nothing is broken
	Sink    string // whose receiver breaks; "": nobody's
	Title   string // what is wrong
	Caption string // what is to be seen meanwhile
	Mended  string // what is to be seen afterwards
	Until   Sign   // what has to be seen before the receiver is mended
	Later   bool   // the sink recovers in a later chapter
	Least   time.Duration
	Most    time.Duration // until the receiver is mended, sign or not
	About   time.Duration // how long that usually takes

	Defect func() Defect // nil: none
}

const (
	smallBodies = 300_000 // bytes that the receiver of the chapter "413" takes
	rejectEvery = 500
	busyEvery   = 50
	hangs       = time.Hour // beyond every patience
	retryAfter  = 3 * time.Second
)

// FaultNames are the names of the faults that a Story tells of, in its order.
func FaultNames() []string {
	var names []string
	for _, c := range chapters() {
		if c.Fault != "" {
			names = append(names, c.Fault)
		}
	}
	return names
}

// chapters is the whole story. The wrong password comes early, because the
// first probe after it comes a minute later, and no sink fails to deliver three
// times, because the third alert would stay open for a quarter of an hour.
func chapters() []Chapter {
	const lines, warehouse, search = "json-lines", "ndjson", "elasticsearch"
	return []Chapter{
		{
			Title:   "all is well",
			Caption: "Sessions come in, and each of the three sinks sends all of them in bodies of up to 896,000 bytes. Now the receivers begin to fail, one after the other.",
			Least:   4 * time.Second, Most: 4 * time.Second, About: 4 * time.Second,
		},
		{
			Fault: "bulk-items", Sink: search, Title: "_bulk answers 200 with errors inside",
			Caption: "One document in 500 does not fit the mapping (400), one in 50 finds the queue full (429). Each is judged by its own error: what found the queue full is sent again, and only the misfits become dead letters, as others got through beside them.",
			Mended:  "Every document fits again. The misfits are in the topic of dead letters with their cause, to be sent again or dropped by whoever looks at them.",
			Until:   GivesUp, Least: 4 * time.Second, Most: 15 * time.Second, About: 5 * time.Second,
			Defect: func() Defect {
				items := &ItemFaults{RejectEvery: rejectEvery, BusyEvery: busyEvery}
				return Defect{Answer: func(Arrival) Misbehaviour { return Misbehaviour{Items: items} }}
			},
		},
		{
			Fault: "wrong-password", Sink: search, Title: "the password was changed",
			Caption: "401: nothing is wrong with the sessions, so none is given up. An alert at once, and a hold: Kafka keeps what comes. The first probe leaves only after a minute, so that no account is locked out. The other sinks go on.",
			Mended:  "The password is right again, which the sink does not know yet: it waits for its probe. Its lag grows, and that is all that happens.",
			Until:   Holds, Least: 4 * time.Second, Most: 15 * time.Second, About: 4 * time.Second, Later: true,
			Defect: func() Defect { return Defect{Password: true} },
		},
		{
			Fault: "500", Sink: lines, Title: "500, each time",
			Caption: "Three more attempts after growing, random pauses; then an alert and a hold: from now on a single session asks now and then whether the endpoint is back.",
			Mended:  "The endpoint is back. The next probe is accepted: 1 session, then 10, then 100, then what waited, at first with one batch at a time in flight (slow start). Nothing was given up.",
			Until:   Holds, Most: 20 * time.Second, About: 6 * time.Second,
			Defect: func() Defect { return always(Misbehaviour{Status: http.StatusInternalServerError}) },
		},
		{
			Fault: "429", Sink: warehouse, Title: "429 with Retry-After: 3",
			Caption: "The receiver asks for a pause of 3 seconds, and the whole sink keeps it. That is no failure: no attempt is counted, nobody is alerted.",
			Mended:  "The receiver has time again. What waited leaves.",
			Until:   Pauses, Least: 4 * time.Second, Most: 15 * time.Second, About: 4 * time.Second,
			Defect: func() Defect {
				return always(Misbehaviour{Status: http.StatusTooManyRequests, RetryAfter: retryAfter})
			},
		},
		{
			Fault: "expired-certificate", Sink: lines, Title: "the certificate has expired",
			Caption: "The sink ends the handshake before a byte of a session is sent. To try again at once would be no use: an alert at once, and a hold.",
			Mended:  "The certificate was renewed. The next probe looks at it and is accepted.",
			Until:   Holds, Most: 15 * time.Second, About: 4 * time.Second,
			Defect: func() Defect { return Defect{Certificate: true} },
		},
		{
			Fault: "reset", Sink: warehouse, Title: "connections are cut",
			Caption: "Of every third body the receiver has taken all sessions when the connection is cut. The sink cannot know, and sends it again: these sessions arrive twice, which is why receivers look at ids. The other bodies were not taken.",
			Mended:  "Connections hold again. A few duplicates are all that is left of it: what may have been lost is sent again.",
			Until:   Retries, Least: 3 * time.Second, Most: 15 * time.Second, About: 4 * time.Second,
			Defect: func() Defect {
				var n atomic.Int64
				return Defect{Answer: func(Arrival) Misbehaviour {
					taken := n.Add(1)%3 == 1
					return Misbehaviour{Lost: taken, Reset: !taken}
				}}
			},
		},
		{
			Fault: "hang", Sink: lines, Title: "no answer at all",
			Caption: "The connection stands, the answer does not come. After 2 seconds here (requestTimeout, 30 by default) the attempt is given up, and the batch is sent again.",
			Mended:  "Answers come again, and the same batches get through.",
			Until:   Retries, Least: 3 * time.Second, Most: 15 * time.Second, About: 5 * time.Second,
			Defect: func() Defect { return always(Misbehaviour{Delay: hangs, Reset: true}) },
		},
		{
			Fault: "token-server", Sink: warehouse, Title: "the token server is down",
			Caption: "The OAuth 2.0 tokens are no longer valid (401), and the token server answers 503 instead of issuing new ones. Retries, a hold, and an alert of its own: nothing is wrong with the endpoint.",
			Mended:  "The token server issues tokens again. The next probe fetches one and is accepted.",
			Until:   Holds, Most: 20 * time.Second, About: 6 * time.Second,
			Defect: func() Defect { return Defect{Tokens: true} },
		},
		{
			Fault: "413", Sink: lines, Title: "413 to bodies above 300,000 bytes",
			Caption: "The batch is halved, and halved again, until it gets through. The sink remembers what the endpoint takes: look at the size of its last batch.",
			Mended:  "Large bodies are taken again. The sink keeps to the size that it has learned, and tries a larger one in an hour.",
			Until:   Shrinks, Most: 15 * time.Second, About: 4 * time.Second,
			Defect: func() Defect {
				return Defect{Answer: func(a Arrival) Misbehaviour {
					if a.Bytes > smallBodies {
						return Misbehaviour{Status: http.StatusRequestEntityTooLarge}
					}
					return Misbehaviour{}
				}}
			},
		},
		{
			Sink: search, Title: "the minute after the wrong password is over",
			Caption: "A probe of one session, then of 10, of 100, and the rest. Then follows what has waited in Kafka: first one batch at a time, twice as many after every ten that got through.",
			Until:   Recovered, Most: 90 * time.Second, About: 6 * time.Second,
		},
	}
}

// always is the same answer to every body.
func always(m Misbehaviour) Defect {
	return Defect{Answer: func(Arrival) Misbehaviour { return m }}
}
