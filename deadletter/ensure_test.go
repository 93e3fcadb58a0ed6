package deadletter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestEnsureCreates(t *testing.T) {
	for _, brokers := range []int{1, 2, 3} {
		t.Run(strconv.Itoa(brokers), func(t *testing.T) {
			c := cluster(t, kfake.NumBrokers(brokers))
			k := client(t, c, "")
			create(t, k, "sessions", map[string]string{"max.message.bytes": "30000000"})
			topic := open(t, k, "sessions", "not-there")
			if err := topic.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := settingsOf(t, topic)
			want := map[string]string{
				"cleanup.policy": "compact", "retention.ms": "-1",
				"max.message.bytes": strconv.Itoa(30_000_000 + letterOverhead),
			}
			if brokers >= 3 {
				want["min.insync.replicas"] = "2"
			}
			for name, value := range want {
				if got[name] != value {
					t.Errorf("%s is %q, want %q", name, got[name], value)
				}
			}
			meta, err := k.Metadata(t.Context(), &kafka.MetadataRequest{Topics: []string{topicName}})
			if err != nil {
				t.Fatal(err)
			}
			partitions := meta.Topics[0].Partitions
			if len(partitions) != DefaultPartitions || len(partitions[0].Replicas) != brokers {
				t.Errorf("%d partitions with %d replicas", len(partitions), len(partitions[0].Replicas))
			}
			// What Ensure made is as Ensure wants it.
			again := open(t, k, "sessions")
			if err := again.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			if w := again.Warnings(); len(w) != 0 {
				t.Errorf("warnings about an own topic: %v", w)
			}
		})
	}
}

func TestEnsureNamesWrongSettings(t *testing.T) {
	big := strconv.Itoa(largestSession + letterOverhead)
	for name, c := range map[string]struct {
		settings map[string]string
		want     []string // the settings that are warned about
	}{
		"as it should be":    {map[string]string{"cleanup.policy": "compact", "retention.ms": "-1", "max.message.bytes": big}, nil},
		"kafka's defaults":   {nil, []string{"cleanup.policy", "max.message.bytes", "retention.ms"}},
		"compact and delete": {map[string]string{"cleanup.policy": "compact,delete", "retention.ms": "604800000", "max.message.bytes": big}, []string{"retention.ms"}},
		"delete, by size":    {map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "1000000", "max.message.bytes": big}, []string{"cleanup.policy", "retention.bytes"}},
		"delete, never":      {map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": big}, []string{"cleanup.policy"}},
		"small":              {map[string]string{"cleanup.policy": "compact", "max.message.bytes": "1000000"}, []string{"max.message.bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			k := client(t, cluster(t), "")
			create(t, k, topicName, c.settings)
			topic := open(t, k)
			if err := topic.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range topic.Warnings() {
				got = append(got, w.Setting)
				if w.Effect == "" || w.Want == "" || !strings.Contains(w.String(), w.Setting) {
					t.Errorf("warning %+v says too little", w)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("warned about %v, want %v", got, c.want)
			}
		})
	}
}

// grants are rights on the topic of the letters.
func grants(operations ...kmsg.ACLOperation) []kfake.ACL {
	var all []kfake.ACL
	for _, o := range operations {
		all = append(all, kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: topicName,
			Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: o, Allow: true,
		})
	}
	return all
}

func TestLeastRights(t *testing.T) {
	for name, c := range map[string]struct {
		rights   []kfake.ACL
		exists   bool
		kind     Kind
		hint     string
		warnings int
	}{
		"write, describe and configs":    {grants(kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs), true, "", "", 0},
		"write and describe":             {grants(kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe), true, "", "", 1},
		"describe alone":                 {grants(kmsg.ACLOperationDescribe), true, Forbidden, "WRITE", 1},
		"nothing, exists":                {nil, true, Forbidden, "grant DESCRIBE and WRITE", 0},
		"nothing, is not there":          {nil, false, Forbidden, "cleanup.policy=compact", 0},
		"no create, is not there":        {grants(kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe), false, Forbidden, "cleanup.policy=compact", 0},
		"create on the topic, not there": {grants(kmsg.ACLOperationCreate, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe), false, "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			cl := cluster(t, kfake.EnableSASL(), kfake.EnableACLs(),
				kfake.Superuser("PLAIN", "admin", "pw"), kfake.User("PLAIN", "exporter", "pw", c.rights...))
			if c.exists {
				create(t, client(t, cl, "admin"), topicName, map[string]string{
					"cleanup.policy": "compact", "max.message.bytes": strconv.Itoa(largestSession + letterOverhead),
				})
			}
			topic := open(t, client(t, cl, "exporter"))
			err := topic.Write(t.Context(), letters(1, 10))
			if len(topic.Warnings()) != c.warnings {
				t.Errorf("warnings %v", topic.Warnings())
			}
			if c.kind == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if kindOf(t, err) != c.kind || !strings.Contains(err.Error(), c.hint) {
				t.Errorf("error %v, want %s with a hint at %q", err, c.kind, c.hint)
			}
			if strings.Contains(err.Error(), "pw") {
				t.Errorf("the password shows: %v", err)
			}
		})
	}
}

func TestInspectJudgesNothingUnknown(t *testing.T) {
	if w := inspect(map[string]string{}, 1); len(w) != 0 {
		t.Errorf("warnings %v", w)
	}
	w := inspect(map[string]string{"unclean.leader.election.enable": "true"}, 1)
	if len(w) != 1 || w[0].Setting != "unclean.leader.election.enable" {
		t.Errorf("warnings %v", w)
	}
}

func ExampleWarning_String() {
	settings := map[string]string{"cleanup.policy": "delete", "retention.ms": "604800000"}
	for _, w := range inspect(settings, 0) {
		fmt.Println(w)
	}
	// Output:
	// cleanup.policy is "delete", should be "compact": a letter that is written twice stays twice, and redriven letters are not removed
	// retention.ms is "604800000", should be "-1": letters are deleted after that time, redriven or not
}
