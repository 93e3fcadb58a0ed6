package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"sessionexport/alerts"
	"sessionexport/consumer"
	"sessionexport/deadletter"
	"sessionexport/dispatcher"
	"sessionexport/egress"
	"sessionexport/settings"
)

// alarm notices what goes wrong and has it told: events of the pipelines as
// they happen, everything else by looking at it now and then.
type alarm struct {
	runner  *alerts.Runner
	metrics *alerts.Metrics
	status  func() []dispatcher.SinkStatus
	certs   *certificateWatch
	topics  *topicWatch
	log     *slog.Logger

	mu      sync.Mutex
	exports map[string]exportOf // by sink
	told    told
}

// told is who is notified, by a configuration's wish.
type told struct {
	alerts    settings.Alerts
	egress    settings.Egress
	notifiers []alerts.Notifier
	way       *alerts.Transport
}

type exportOf struct {
	export *settings.Export
	topic  string
	gone   bool // from the configuration; the sink may not have stopped yet
}

// notifiers are the ways to people that a configuration names.
func notifiers(file *settings.File, way *alerts.Transport, metrics *alerts.Metrics, log *slog.Logger) ([]alerts.Notifier, error) {
	out := alerts.Outgoing{Rules: rulesOf(file), Transport: way, Metrics: metrics, Logger: log}
	all, err := alerts.NewShoutrrr(file.Alerts.Shoutrrr, out)
	var bad *alerts.ServiceError
	if errors.As(err, &bad) { // a mistake of the configuration like any other
		return nil, settings.Problems{{Path: fmt.Sprintf("alerts.shoutrrr[%d]", bad.Index), Value: settings.Mask, Message: bad.Reason}}
	}
	if err != nil {
		return nil, fmt.Errorf("preparing notifications: %w", err)
	}
	return append(all, alerts.NewAlertmanagers(file.Alerts.Alertmanager, out)...), nil
}

func rulesOf(file *settings.File) egress.Rules {
	return egress.Rules{Allow: file.Egress.Allow, Deny: file.Egress.Deny}
}

// newAlarm prepares the alarm of a service; status is not asked before run.
// Others are notifiers besides those that the configuration names.
func newAlarm(file *settings.File, kafka *consumer.Kafka, status func() []dispatcher.SinkStatus, log *slog.Logger, others ...alerts.Notifier) (*alarm, error) {
	a := &alarm{
		metrics: alerts.NewMetrics(), status: status,
		certs: &certificateWatch{log: log}, topics: &topicWatch{client: kafka.Client(), log: log}, log: log,
	}
	way := alerts.NewTransport(rulesOf(file))
	all, err := notifiers(file, way, a.metrics, log)
	if err != nil {
		return nil, err
	}
	a.told = told{alerts: file.Alerts, egress: file.Egress, notifiers: all, way: way}
	a.use(file)
	a.runner = alerts.NewRunner(alerts.Options{Poll: a.readings, Notifiers: append(all, others...), Metrics: a.metrics, Logger: log})
	return a, nil
}

func (a *alarm) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told.way.CloseIdleConnections()
}

// alarmChange is another configuration's alarm, built and not in force.
type alarmChange struct {
	alarm *alarm
	file  *settings.File
	told  *told // nil: the same are told
}

// prepare builds the notifiers of another configuration, if they differ.
func (a *alarm) prepare(file *settings.File) (*alarmChange, error) {
	c := &alarmChange{alarm: a, file: file}
	a.mu.Lock()
	before := a.told
	a.mu.Unlock()
	sameWay := reflect.DeepEqual(before.egress, file.Egress)
	was, is := addresses(before.alerts), addresses(file.Alerts)
	if sameWay && slices.Equal(was, is) {
		return c, nil
	}
	way := before.way
	if !sameWay {
		way = alerts.NewTransport(rulesOf(file))
	}
	all, err := notifiers(file, way, a.metrics, a.log)
	if err != nil {
		return nil, err
	}
	for i, address := range is {
		// What one has still to send is not lost because another one joins.
		if k := slices.Index(was, address); sameWay && k >= 0 && before.notifiers[k].Name() == all[i].Name() {
			all[i] = before.notifiers[k]
		}
	}
	c.told = &told{alerts: file.Alerts, egress: file.Egress, notifiers: all, way: way}
	return c, nil
}

// addresses lists everyone to be told in the order of their notifiers, for
// comparing: they hold secrets.
func addresses(a settings.Alerts) []string {
	var all []string
	for _, s := range a.Shoutrrr {
		all = append(all, s.Reveal())
	}
	for _, u := range a.Alertmanager {
		if parsed := u.Parsed(); parsed != nil {
			all = append(all, parsed.String())
		}
	}
	return all
}

// apply brings the change into force.
func (c *alarmChange) apply() {
	a := c.alarm
	if c.told != nil {
		a.mu.Lock()
		before := a.told.way
		a.told = *c.told
		a.mu.Unlock()
		a.runner.Use(c.told.notifiers)
		if before != c.told.way {
			before.CloseIdleConnections()
		}
	}
	a.use(c.file)
}

// use makes the exports of a configuration the ones that are watched.
func (a *alarm) use(file *settings.File) {
	exports := map[string]exportOf{}
	var topics []string
	for i := range file.Environments {
		env := &file.Environments[i]
		topics = append(topics, env.Topic)
		for k := range env.Exports {
			exports[env.Exports[k].ID] = exportOf{export: &env.Exports[k], topic: env.Topic}
		}
	}
	a.mu.Lock()
	for sink, before := range a.exports {
		if _, stays := exports[sink]; !stays {
			before.gone = true
			exports[sink] = before
		}
	}
	a.exports = exports
	a.mu.Unlock()
	a.topics.use(topics)
	a.certs.use(file)
}

// run works until ctx is done.
func (a *alarm) run(ctx context.Context) {
	var running sync.WaitGroup
	defer a.close()
	defer running.Wait()
	running.Go(func() { a.certs.run(ctx) })
	running.Go(func() { a.topics.run(ctx) })
	a.runner.Run(ctx)
}

// observe takes an event of a pipeline, from its goroutine.
func (a *alarm) observe(env, sink string, e dispatcher.Event) {
	say := func(c alerts.Cause, s alerts.Signal) {
		s.Key = alerts.Key{Environment: env, Sink: sink, Cause: c}
		a.runner.Signal(s)
	}
	switch e.Kind {
	case dispatcher.Alert:
		cause := alerts.DeliveryFailed
		if strings.HasPrefix(e.Cause.Reason, "token") {
			cause = alerts.TokenServer
		}
		say(cause, alerts.Signal{Error: e.Cause.Text})
	case dispatcher.Recovered:
		say(alerts.DeliveryFailed, alerts.Signal{Cleared: true})
		say(alerts.TokenServer, alerts.Signal{Cleared: true})
	case dispatcher.LettersFailed:
		say(alerts.LettersUnwritable, alerts.Signal{Error: e.Cause.Text})
	case dispatcher.LettersStored:
		say(alerts.LettersUnwritable, alerts.Signal{Cleared: true})
	case dispatcher.Discarded:
		say(alerts.SessionsDiscarded, alerts.Signal{Lost: int64(e.Sessions), Error: e.Cause.Text})
	case dispatcher.Retry, dispatcher.HoldBegan, dispatcher.ProbeFailed, dispatcher.Throttling, dispatcher.LimitLearned:
	}
}

// stored takes dead letters that became durable.
func (a *alarm) stored(ls []deadletter.Letter) {
	sums := map[alerts.Key]*alerts.Signal{}
	for i := range ls {
		l := &ls[i]
		k := alerts.Key{Environment: l.Environment, Sink: l.Sink, Cause: alerts.DeadLettersGrow}
		if l.Kind == "poison" {
			k.Cause = alerts.Poison
		}
		s := sums[k]
		if s == nil {
			// A letter's own text may quote the session: the reason does not.
			s = &alerts.Signal{Key: k, Error: letterReason(l)}
			sums[k] = s
		}
		s.Lost++
	}
	for _, s := range sums {
		a.runner.Signal(*s)
	}
}

func letterReason(l *deadletter.Letter) string {
	if l.Status != 0 {
		return fmt.Sprintf("%s: %s, answered %d", l.Kind, l.Reason, l.Status)
	}
	return l.Kind + ": " + l.Reason
}

// readings looks at every sink. It waits for nothing that is outside the
// process.
func (a *alarm) readings(context.Context) []alerts.Reading {
	now := time.Now()
	all := a.status()
	out := make([]alerts.Reading, 0, len(all))
	defer a.forgetGone(all)
	for i := range all {
		s := &all[i]
		r := alerts.Reading{
			Environment: s.Environment, Sink: s.Sink, Waiting: -1,
			// Between two generations a member may have nothing for a moment.
			Idle:    len(s.Member.Partitions) == 0 && (s.Member.State == consumer.StateStable || s.Fatal != ""),
			Holding: s.State == dispatcher.Held, Delivered: s.LastSuccess, OutOfRange: s.Member.OutOfRange, Skipped: s.Member.Skipped,
			Corrupt: s.Member.Corrupt, TokenFails: s.Tokens.LastError != "", Stopped: s.Fatal,
		}
		r.LettersFail = r.Holding && s.Cause.Reason == "dead_letters"
		if lag, known := s.Lag(); known {
			r.Waiting = lag
		}
		for _, p := range s.Member.Partitions {
			if p.Trouble != "" {
				r.Trouble = p.Trouble
				break
			}
		}
		a.mu.Lock()
		e, known := a.exports[s.Sink]
		a.mu.Unlock()
		if known {
			r.Silent = e.export.ExportBehavior.DisableNotification
			r.Certificates = append(a.certs.of(s.Sink), alerts.ClientCertificates(e.export.Custom.Material().Certificates())...)
			r.Backlog = a.topics.backlog(now, e.topic, s)
		}
		out = append(out, r)
	}
	return out
}

// forgetGone forgets exports that are not configured any more and have stopped.
func (a *alarm) forgetGone(running []dispatcher.SinkStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.exports, func(sink string, e exportOf) bool {
		return e.gone && !slices.ContainsFunc(running, func(s dispatcher.SinkStatus) bool { return s.Sink == sink })
	})
}

// CheckNotifiers finds mistakes in those whom a configuration wants to be told,
// as settings.Problems. It makes no request.
func CheckNotifiers(file *settings.File) error {
	way := alerts.NewTransport(rulesOf(file))
	defer way.CloseIdleConnections()
	_, err := notifiers(file, way, alerts.NewMetrics(), slog.New(slog.DiscardHandler))
	return err
}

// AlertsTestOptions say what TestAlerts tries.
type AlertsTestOptions struct {
	File   *settings.File
	Stdout io.Writer
	Logger *slog.Logger
}

// errNotNotified is returned by TestAlerts when a trial did not get through.
var errNotNotified = errors.New("a trial notification was not accepted")

// TestAlerts sends a trial notification to each notifier of a configuration,
// one after the other, and prints what became of it.
func TestAlerts(ctx context.Context, o AlertsTestOptions) error {
	way := alerts.NewTransport(rulesOf(o.File))
	defer way.CloseIdleConnections()
	all, err := notifiers(o.File, way, alerts.NewMetrics(), o.Logger)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		_, _ = fmt.Fprintln(o.Stdout, "The configuration names nobody to notify: alerts.shoutrrr and alerts.alertmanager are empty. The log has every alert.")
		return nil
	}
	now := time.Now()
	trial := alerts.Notification{
		Key:   alerts.Key{Environment: "trial", Sink: "trial", Cause: "trial"},
		State: alerts.Trial, At: now, Since: now, Waiting: -1,
	}
	failed := false
	for _, n := range all {
		if err := n.Try(ctx, trial); err != nil {
			failed = true
			_, _ = fmt.Fprintf(o.Stdout, "%-16s failed: %v\n", n.Name(), err)
			continue
		}
		_, _ = fmt.Fprintf(o.Stdout, "%-16s sent\n", n.Name())
	}
	if failed {
		return errNotNotified
	}
	return nil
}
