package dispatcher

import "testing"

func TestLedgerWitness(t *testing.T) {
	var l ledger
	mark := l.accepted
	if l.since(mark) {
		t.Fatal("a witness out of nothing")
	}
	l.giveUp(1)
	l.accept(0)
	l.accept(-1)
	if l.since(mark) {
		t.Error("who was given up is no witness")
	}
	l.accept(3)
	if !l.since(mark) || l.since(l.accepted) {
		t.Error("a witness counts for what was refused before it, and only for that")
	}
}

// Exactly a fifth of the last 1,000 sessions may be given up.
func TestLedgerGivesUpAFifth(t *testing.T) {
	var l ledger
	if !l.mayGiveUp(200) || l.mayGiveUp(201) {
		t.Error("200 of 1,000 and no more")
	}
	l.giveUp(200)
	if l.mayGiveUp(1) || !l.mayGiveUp(0) {
		t.Error("the fifth is used up")
	}
	l.accept(799)
	if l.mayGiveUp(1) {
		t.Error("the first of them is still among the last 1,000 when the next comes")
	}
	l.accept(2) // pushes one out
	if !l.mayGiveUp(1) || l.mayGiveUp(2) {
		t.Errorf("%d are remembered", l.given)
	}
	l.accept(5000) // more than is remembered
	if !l.mayGiveUp(200) || l.given != 0 || l.accepted != 5801 {
		t.Errorf("%d are remembered of %d accepted", l.given, l.accepted)
	}
	l.giveUp(3000)
	if l.given != window {
		t.Errorf("%d of a window of %d", l.given, window)
	}
}
