package dispatcher

import "sessionexport/consumer"

// notice logs what the consumer has to say. It is called from any goroutine.
func (t *teller) notice(n consumer.Notice) {
	args := []any{"partition", n.Partition, "offset", n.Offset}
	switch n.Kind {
	case consumer.NoticeOutOfRange:
		if n.Skipped >= 0 {
			args = append(args, "skipped", n.Skipped)
		} else {
			args = append(args, "read_again", -n.Skipped)
		}
		t.log.Error("ALERT: the position is not in the log", append(args, "error", textOf(n.Err))...)
	case consumer.NoticeCorrupt:
		t.log.Error("ALERT: a batch of the topic cannot be read, its partition waits", append(args, "error", textOf(n.Err))...)
	case consumer.NoticeFenced:
		t.log.Error("ALERT: another process has the same static id", "error", textOf(n.Err))
	case consumer.NoticeTrouble, consumer.NoticeRecovered, consumer.NoticeLost:
		// The member logs these itself, with its group and topic: one line each.
	}
}
