package store

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store/storetest"
)

const contestedName = "customer.com"

// machine is users who fight for one name, with a model of what each of them
// may expect.
type machine struct {
	*world
	published map[string]bool        // whose key is in DNS
	everSeen  map[string]bool        // whose key was seen by a look since its claim began
	absent    map[string][]time.Time // looks that missed the key, since the last that saw it
	marked    map[string]bool        // an admin ever touched it
	unproven  map[string]bool        // since its key was last seen: missed while another held the name, or no longer looked for
	keys      map[string]string      // DKIM value by user
	owners    map[string]string      // user by DKIM value: never two
	fault     bool
	holder    string
	rivalled  time.Time // since when the holder has had a rival whose key was seen; zero: it has none
	before    map[string]Domain
}

var users = []string{"ann", "bob", "cyd"}

func (m *machine) user(t *rapid.T) string { return rapid.SampledFrom(users).Draw(t, "user") }

func (m *machine) exists(user string) bool {
	_, err := m.Domain(context.Background(), tenant(user), contestedName)
	return err == nil
}

func (m *machine) create(t *rapid.T) {
	user := m.user(t)
	d, created, err := m.CreateDomain(context.Background(), tenant(user), NewDomain{Name: contestedName})
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	value := record(d, dnscheck.PurposeDKIM).Value
	if owner := m.owners[value]; owner != "" && owner != user {
		t.Fatalf("%s has the key of %s", user, owner)
	}
	m.owners[value], m.keys[user] = user, value
	if created {
		m.everSeen[user], m.marked[user], m.unproven[user], m.absent[user] = false, false, false, nil
		if d.Domain.Status != DomainStatusPending || d.Domain.HeldByOther || len(d.Records) != 4 {
			t.Fatalf("created %+v", d.Domain)
		}
	}
	m.unmoved(t, user)
}

func (m *machine) publish(t *rapid.T)   { m.published[m.user(t)] = true }
func (m *machine) unpublish(t *rapid.T) { m.published[m.user(t)] = false }

// seldom thins out an action that ends or hides what the others build up.
func seldom(t *rapid.T) bool { return rapid.IntRange(0, 3).Draw(t, "seldom") == 0 }

func (m *machine) toggleFault(t *rapid.T) { m.fault = !m.fault && seldom(t) }

func (m *machine) tick(t *rapid.T) {
	m.clock.forward(time.Duration(rapid.SampledFrom([]int{5, 20, 40, 61, 300}).Draw(t, "minutes")) * time.Minute)
}

func (m *machine) verify(t *rapid.T) {
	user := m.user(t)
	if !m.exists(user) {
		return
	}
	job, err := m.ClaimDomain(context.Background(), tenant(user), contestedName)
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	v := isMatch
	by := verdicts{}
	looked := slices.ContainsFunc(job.Target.Records, func(x dnscheck.Expectation) bool {
		return x.Purpose == dnscheck.PurposeDKIM
	})
	switch {
	case m.fault:
		v = isUnknown
	case !looked:
	case m.published[user]:
		if m.holder != user && m.rivalled.IsZero() {
			m.rivalled = m.clock.now()
		}
		m.everSeen[user], m.unproven[user], m.absent[user] = true, false, nil
	default:
		by[dnscheck.PurposeDKIM] = isMissing
		m.absent[user] = append(m.absent[user], m.clock.now())
		m.unproven[user] = m.unproven[user] || m.holder != user
	}
	if err := m.Record(context.Background(), job, report(job, v, by)); err != nil {
		t.Fatalf("record: %v", err)
	}
	if m.fault {
		m.unmoved(t, "")
	}
	if !m.published[user] || m.fault {
		m.unmoved(t, user)
	}
}

func (m *machine) mark(t *rapid.T) {
	user := m.user(t)
	d, err := m.Domain(context.Background(), tenant(user), contestedName)
	if err != nil || !seldom(t) {
		return
	}
	r := rapid.SampledFrom(d.Records).Draw(t, "record")
	status := rapid.SampledFrom([]RecordStatus{"pending", "verified", "failed", "disabled"}).Draw(t, "status")
	m.put(t, user, r, status)
}

// vouch marks what a claim needs to be active.
func (m *machine) vouch(t *rapid.T) {
	user := m.user(t)
	d, err := m.Domain(context.Background(), tenant(user), contestedName)
	if err != nil || !seldom(t) {
		return
	}
	for _, r := range d.Records {
		m.put(t, user, r, RecordStatusVerified)
	}
}

func (m *machine) put(t *rapid.T, user string, r Record, status RecordStatus) {
	_, err := m.MarkRecord(context.Background(), tenant(user), contestedName, Mark{RecordID: r.ID, Status: status})
	if err != nil {
		t.Fatalf("mark: %v", err)
	}
	m.marked[user] = true
	m.unproven[user] = m.unproven[user] || r.Purpose == dnscheck.PurposeDKIM && status == RecordStatusDisabled
	m.unmoved(t, user)
}

func (m *machine) remove(t *rapid.T) {
	user := m.user(t)
	if !seldom(t) {
		return
	}
	err := m.DeleteDomain(context.Background(), tenant(user), contestedName)
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatalf("delete: %v", err)
	}
	m.unmoved(t, user)
}

// unmoved fails when the state of anybody but one user changed.
func (m *machine) unmoved(t *rapid.T, but string) {
	for user, d := range m.domains() {
		was, there := m.before[user]
		if user == but || !there {
			continue
		}
		if was.Status != d.Status || was.HeldByOther != d.HeldByOther || was.InboundReady != d.InboundReady {
			t.Fatalf("%s changed by what %s did: %+v to %+v", user, but, was, d)
		}
	}
}

func (m *machine) domains() map[string]Domain {
	list := map[string]Domain{}
	for _, user := range users {
		if d, err := m.Domain(context.Background(), tenant(user), contestedName); err == nil {
			list[user] = d.Domain
		}
	}
	return list
}

// Check holds after every action.
func (m *machine) Check(t *rapid.T) {
	now := m.domains()
	holder := ""
	rows, err := m.Store.read.query(context.Background(), `SELECT user_id FROM domain WHERE holder = 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if holder != "" {
			t.Fatalf("two holders")
		}
		if err := rows.Scan(&holder); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for user, d := range now {
		if d.Status == DomainStatusActive && user != holder {
			t.Fatalf("%s is active, %s holds the name", user, holder)
		}
	}
	if holder != m.holder {
		m.handedOver(t, m.holder, holder, now)
		m.rivalled = time.Time{}
	}
	m.holder, m.before = holder, now
}

// handedOver judges a change of the holder.
func (m *machine) handedOver(t *rapid.T, from, to string, now map[string]Domain) {
	if to != "" && !m.everSeen[to] && !m.marked[to] {
		t.Fatalf("%s holds the name without proof or mark", to)
	}
	if from == "" || to == "" {
		return
	}
	if _, there := now[from]; !there {
		return // deleted, and taken since
	}
	if !m.published[to] || m.fault {
		t.Fatalf("%s took the name, and its key is not in DNS", to)
	}
	lost := slices.DeleteFunc(slices.Clone(m.absent[from]), m.rivalled.After)
	gone := len(lost) > 1 && lost[len(lost)-1].Sub(lost[0]) >= time.Hour
	if !m.everSeen[to] || !gone && m.everSeen[from] && !m.unproven[from] {
		t.Fatalf("%s lost the name with its key absent at %v", from, lost)
	}
}

func TestOwnershipModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		w := &world{tb: t, dir: dir, clock: &clock{}, keys: fakeKeys()}
		w.database, w.key = storetest.New(t, dir)
		w.clock.ms.Store(ms(start))
		s, err := Open(context.Background(), w.config())
		if err != nil {
			rt.Fatal(err)
		}
		defer s.Close()
		w.Store = s
		m := &machine{
			world: w, published: map[string]bool{}, everSeen: map[string]bool{}, marked: map[string]bool{},
			unproven: map[string]bool{},
			absent:   map[string][]time.Time{}, keys: map[string]string{}, owners: map[string]string{},
			before: map[string]Domain{},
		}
		for range users {
			m.create(rt)
		}
		m.Check(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"": m.Check, "create": m.create, "publish": m.publish, "publish too": m.publish,
			"unpublish": m.unpublish, "verify": m.verify, "verify too": m.verify, "verify three": m.verify,
			"verify four": m.verify, "verify five": m.verify, "tick": m.tick, "fault": m.toggleFault, "mark": m.mark,
			"vouch": m.vouch, "delete": m.remove,
		})
	})
}
