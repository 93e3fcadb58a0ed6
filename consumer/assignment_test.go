package consumer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAssign(t *testing.T) {
	tests := map[string]struct {
		members []claimant
		n       int32
		want    map[string][]int32
	}{
		"alone":       {[]claimant{{id: "a"}}, 3, map[string][]int32{"a": {0, 1, 2}}},
		"nobody owns": {[]claimant{{id: "a"}, {id: "b"}}, 3, map[string][]int32{"a": {0, 1}, "b": {2}}},
		"more members than partitions": {
			[]claimant{{id: "a"}, {id: "b"}, {id: "c"}}, 2, map[string][]int32{"a": {0}, "b": {1}, "c": {}},
		},
		"a newcomer waits for what is taken away": {
			[]claimant{{id: "b", owned: []int32{0, 1, 2, 3}, generation: 1}, {id: "a"}}, 4, map[string][]int32{"a": {}, "b": {0, 1}},
		},
		"and then gets it": {
			[]claimant{{id: "b", owned: []int32{0, 1}, generation: 2}, {id: "a"}}, 4, map[string][]int32{"a": {2, 3}, "b": {0, 1}},
		},
		"whoever has more keeps the odd one": {
			[]claimant{{id: "a", owned: []int32{2}, generation: 1}, {id: "b", owned: []int32{0, 1}, generation: 1}}, 3,
			map[string][]int32{"a": {2}, "b": {0, 1}},
		},
		"the later generation owns it": {
			[]claimant{{id: "a", owned: []int32{0, 1}, generation: 3}, {id: "b", owned: []int32{0, 1}, generation: 4}}, 2,
			map[string][]int32{"a": {}, "b": {0}},
		},
		"a claim on what is not there": {
			[]claimant{{id: "a", owned: []int32{-1, 7}, generation: 3}}, 2, map[string][]int32{"a": {0, 1}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := assign(test.members, test.n)
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Whatever the group was, it comes to rest in a few rounds: every partition
// has one owner, nobody has two more than another, in no round a partition is
// given to two or taken over from a living owner, and no more move than must.
func TestAssignSettles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		n := int32(random.IntN(60))
		var members []claimant
		for i := range 1 + random.IntN(6) {
			members = append(members, claimant{id: fmt.Sprint(i), generation: 1})
		}
		for p := range n {
			if i := random.IntN(len(members) + 1); i < len(members) {
				members[i].owned = append(members[i].owned, p)
			}
		}
		for round := 0; ; round++ {
			if round == 3 {
				t.Fatalf("still moving after %d rounds: %v", round, members)
			}
			before := owners(members, n)
			assigned := assign(members, n)
			given := map[int32]string{}
			for id, ps := range assigned {
				for _, p := range ps {
					if other, twice := given[p]; twice {
						t.Fatalf("partition %d is given to %s and %s", p, other, id)
					}
					given[p] = id
					if owner, owned := before[p]; owned && owner != id {
						t.Fatalf("partition %d is given to %s while %s owns it", p, id, owner)
					}
				}
			}
			same := true
			for i := range members {
				ps := slices.Clone(assigned[members[i].id])
				slices.Sort(ps)
				if !slices.Equal(ps, members[i].owned) {
					same = false
				}
				if kept := min(len(members[i].owned), int(n)/len(members)); len(ps) < kept {
					t.Fatalf("%s keeps %d of %d partitions", members[i].id, len(ps), len(members[i].owned))
				}
				members[i].owned = ps
			}
			if same {
				least, most := n, int32(0)
				for _, m := range members {
					least, most = min(least, int32(len(m.owned))), max(most, int32(len(m.owned)))
				}
				if len(given) != int(n) || most-least > 1 {
					t.Fatalf("rests with %d of %d partitions, from %d to %d each", len(given), n, least, most)
				}
				break
			}
		}
	}
}
