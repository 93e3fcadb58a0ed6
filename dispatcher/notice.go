package dispatcher

import "sessionexport/consumer"

// notice logs what the consumer has to say. It is called from any goroutine.
func (t *teller) notice(n consumer.Notice) {
	args := []any{"partition", n.Partition, "offset", n.Offset}
	switch n.Kind {
	case consumer.NoticeOutOfRange:
		t.log.Error("ALERT: the position is not in the log", append(args, "skipped", n.Skipped, "error", textOf(n.Err))...)
	case consumer.NoticeCorrupt:
		t.log.Error("ALERT: a batch of the topic cannot be read, its partition waits", append(args, "error", textOf(n.Err))...)
	case consumer.NoticeFenced:
		t.log.Error("ALERT: another process has the same static id", "error", textOf(n.Err))
	case consumer.NoticeTrouble:
		t.log.Warn("reading from Kafka is in trouble, keeps trying", "error", textOf(n.Err))
	case consumer.NoticeRecovered:
		t.log.Info("reading from Kafka works again")
	case consumer.NoticeLost:
		t.log.Warn("partitions were lost: the group went on without this member", "error", textOf(n.Err))
	}
}
