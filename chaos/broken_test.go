package chaos

import (
	"math"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/domaind/domaind/gen/client"
)

// told is a history in which one call follows the other, each with the answer
// that the model gives; change then makes it another one.
func told(requests []request, change func([]porcupine.Operation)) []porcupine.Operation {
	var n name
	var ops []porcupine.Operation
	for i, r := range requests {
		var a answer
		n, a = n.apply(r)
		for j, k := range a.records.keys {
			if k == unseen {
				a.records.keys[j] = string(rune('a'+2*r.user+j)) + "._domainkey"
			}
		}
		n.claims[r.user].learn(a.records.keys)
		ops = append(ops, porcupine.Operation{Input: r, Output: a, Call: int64(10 * i), Return: int64(10*i + 5)})
	}
	if change != nil {
		change(ops)
	}
	return ops
}

// answered changes one answer.
func answered(i int, change func(*answer)) func([]porcupine.Operation) {
	return func(ops []porcupine.Operation) {
		a := ops[i].Output.(answer)
		change(&a)
		ops[i].Output = a
	}
}

func unanswered(i int) func([]porcupine.Operation) {
	return func(ops []porcupine.Operation) { ops[i].Output, ops[i].Return = nil, math.MaxInt64 }
}

func both(first, second func([]porcupine.Operation)) func([]porcupine.Operation) {
	return func(ops []porcupine.Operation) { first(ops); second(ops) }
}

func gone(a *answer) { *a = answer{code: 404} }

// activation is what makes a user's claim hold the name.
func activation(user int) []request {
	list := []request{{kind: create, user: user}}
	for _, p := range purposes {
		list = append(list, request{kind: mark, user: user, purpose: p, status: client.RecordStatusVerified})
	}
	return list
}

// TestBrokenHistory feeds histories, and sees the broken ones refused.
func TestBrokenHistory(t *testing.T) {
	a, b := request{kind: route, to: "a@elsewhere.example"}, request{kind: route, to: "b@elsewhere.example"}
	made, read, ended := request{kind: create}, request{kind: info}, request{kind: remove}
	rivals := append(append(activation(0), activation(1)...), request{kind: info, user: 1})
	for _, c := range []struct {
		what     string
		requests []request
		change   func([]porcupine.Operation)
		want     porcupine.CheckResult
	}{
		{"as it should be", []request{made, a, read, b, read, ended, read, made, read}, nil, porcupine.Ok},
		{"a lost create", []request{made, read}, answered(1, gone), porcupine.Illegal},
		{"a lost route", []request{made, a, read}, answered(2, func(a *answer) { a.row.to = "" }), porcupine.Illegal},
		{"an old route", []request{made, a, b, read}, answered(3, func(x *answer) { x.row.to = a.to }), porcupine.Illegal},
		{"back from the dead", []request{made, read, ended, read}, func(ops []porcupine.Operation) { ops[3].Output = ops[1].Output }, porcupine.Illegal},
		{"another key", []request{made, ended, made}, answered(2, func(a *answer) { a.records.keys[0] = "z" }), porcupine.Illegal},
		{"a lost rotation", []request{made, {kind: rotate}, read}, answered(2, func(a *answer) { a.records.keys[1] = "" }), porcupine.Illegal},
		{"a lost mark", append(activation(0), read), answered(5, func(a *answer) {
			a.row.status, a.records.marks[0] = client.DomainStatusPending, client.RecordStatusPending
		}), porcupine.Illegal},
		{"one holder", rivals, nil, porcupine.Ok},
		{"two holders", rivals, answered(len(rivals)-1, func(a *answer) {
			a.row = row{status: client.DomainStatusActive}
		}), porcupine.Illegal},
		{"no answer, and done", []request{made, a, read}, unanswered(1), porcupine.Ok},
		{"no answer, and not done", []request{made, a, read}, both(unanswered(1),
			answered(2, func(a *answer) { a.row.to = "" })), porcupine.Ok},
		{"no answer, and done later", []request{made, a, read, read}, both(unanswered(1),
			answered(2, func(a *answer) { a.row.to = "" })), porcupine.Ok},
		{"no answer, done and undone", []request{made, a, read, read}, both(unanswered(1),
			answered(3, func(a *answer) { a.row.to = "" })), porcupine.Illegal},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := porcupine.CheckOperations(lifecycle(), told(c.requests, c.change)); got != (c.want == porcupine.Ok) {
				t.Errorf("linearizable: %t, want %s", got, c.want)
			}
		})
	}
}
