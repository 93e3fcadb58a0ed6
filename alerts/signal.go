package alerts

import "time"

// Signal is something that was noticed about a sink.
type Signal struct {
	Key
	Cleared bool      // the condition is over; false: it began, goes on, or happened again
	At      time.Time // when; zero: now. What was over before the last trouble clears nothing
	Lost    int64     // sessions given up, dropped or missed this time
	Error   string    // what is wrong, without secrets
	Until   time.Time // when it becomes too late; zero: no such time
}

// Reading is what a look at a running sink shows. Counters count since the
// process started.
type Reading struct {
	Environment string
	Sink        string
	Silent      bool  // its notifications are disabled
	Waiting     int64 // records that are not committed; -1: not known
	Idle        bool  // it has no partition: others deliver

	Holding   bool      // nothing but probes is sent
	Delivered time.Time // of the last accepted session

	LettersFail bool   // dead letters cannot be written
	OutOfRange  int64  // positions that were not in the log, counter
	Skipped     int64  // records that were deleted before they were read, counter
	Corrupt     int64  // tries to read a batch that cannot be read, counter
	Trouble     string // why a partition is not read; also what passes by itself
	TokenFails  bool   // the last fetch of a token brought none
	Stopped     string // why the sink ended for good

	Certificates []Certificate
	Backlog      Backlog
}

// signals says what a reading means, compared with the one before it; a process
// that just started compares with nothing, and so with counters of zero.
func (r *Reading) signals(now time.Time, last *Reading) []Signal {
	var all []Signal
	add := func(s Signal, c Cause) {
		s.Key = Key{Environment: r.Environment, Sink: r.Sink, Cause: c}
		all = append(all, s)
	}
	switch {
	case r.Idle: // whoever has the partitions now tells of them
		for _, c := range []Cause{DeliveryFailed, TokenServer, LettersUnwritable, RetentionNear} {
			add(Signal{Cleared: true}, c)
		}
	case !r.Holding && !r.Delivered.IsZero():
		add(Signal{Cleared: true, At: r.Delivered}, DeliveryFailed)
		add(Signal{Cleared: true, At: r.Delivered}, TokenServer)
	}
	if !r.TokenFails {
		add(Signal{Cleared: true}, TokenServer)
	}
	if !r.LettersFail {
		add(Signal{Cleared: true}, LettersUnwritable)
	}
	if r.OutOfRange > last.OutOfRange {
		add(Signal{Error: "the position of a partition was not in the log", Lost: max(r.Skipped-last.Skipped, 0)}, OutOfRange)
	}
	if r.Corrupt > last.Corrupt || r.Trouble == "" {
		add(Signal{Cleared: r.Trouble == "", Error: r.Trouble}, Unreadable)
	}
	add(Signal{Cleared: r.Stopped == "", Error: r.Stopped}, Stopped)
	if len(r.Certificates) > 0 {
		until, text, near := nearest(now, r.Certificates)
		add(Signal{Cleared: !near, Error: text, Until: until}, CertificateExpires)
	}
	if !r.Idle && r.Backlog.known() {
		until, text, near := r.Backlog.danger(now)
		add(Signal{Cleared: !near, Error: text, Until: until}, RetentionNear)
	}
	return all
}
