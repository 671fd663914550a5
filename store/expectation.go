package store

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/domaind/domaind/dnscheck"
)

// The records that a check looks for lie in one text for each domain: a row for
// each record, and a column for each field, would cost more than the claim that
// reads them. No value of a record has these characters.
const (
	fieldEnd  = "\x1f"
	recordEnd = "\x1e"
)

// pack writes the records that a check looks for: neither disabled ones nor
// those of a retired key.
func pack(lines []line) string {
	b := make([]byte, 0, 1024)
	for _, r := range lines {
		if r.Status == RecordStatusDisabled || r.KeyState == keyRetired {
			continue
		}
		if len(b) > 0 {
			b = append(b, recordEnd...)
		}
		verified := int64(0)
		if r.Status == RecordStatusVerified {
			verified = 1
		}
		b = strconv.AppendInt(b, r.ID, 10)
		for _, text := range []string{string(r.Purpose), r.Name, r.Value} {
			b = append(append(b, fieldEnd...), text...)
		}
		for _, n := range []int64{int64(r.Priority), verified, int64(r.Looks), r.Situation} {
			b = strconv.AppendInt(append(b, fieldEnd...), n, 10)
		}
		b = append(append(b, fieldEnd...), toText(r.Retired)...)
	}
	return string(b)
}

// expect writes what the checks of a claim look for from now on. Whoever writes
// one of its lines ends with it.
func (x *tx) expect(c claim, lines []line) error {
	_, err := x.exec(`INSERT INTO expectation (domain_id, records) VALUES (?, ?)
		ON CONFLICT (domain_id) DO UPDATE SET records = excluded.records`, c.ID, pack(lines))
	return wrap("write expectation", err)
}

// packedRecords is the packed text of a domain. There is none of one that an older
// program made, and an old one where such a program has written since: it may go
// on beside this one, and knows nothing of it. The next record writes it anew.
const packedRecords = `COALESCE((SELECT records FROM expectation WHERE domain_id = domain.id), '')`

// jobColumns are what a check needs of a domain, and what decides its place in
// a batch and its width.
const jobColumns = `id, epoch, name, due_at, lane, holder, verified_at, full_check_at, ` + packedRecords

// claimed is a domain that is to be checked, its records still packed.
type claimed struct {
	dnscheck.Job
	lane               int
	holder             bool
	verifiedAt, fullAt time.Time
	records            string
}

func scanClaimed(row scanner) (c claimed, err error) {
	var due, verified, full int64
	err = row.Scan(&c.DomainID, &c.Epoch, &c.Target.Domain, &due, &c.lane, &c.holder, &verified, &full, &c.records)
	c.DueAt, c.verifiedAt, c.fullAt = at(due), at(verified), at(full)
	return c, err
}

// job unpacks the records; the job has none where that fails.
func (c claimed) job() (dnscheck.Job, error) {
	var err error
	if c.Target.Records, err = unpack(c.records); err != nil {
		return c.Job, fmt.Errorf("store: read expectation: %w", err)
	}
	for i := range c.Target.Records {
		// What could cost the holder the name is confirmed first.
		x := &c.Target.Records[i]
		x.Verified = x.Verified || c.holder && x.Purpose == dnscheck.PurposeDKIM
	}
	return c.Job, nil
}

func unpack(text string) ([]dnscheck.Expectation, error) {
	if text == "" {
		return nil, nil
	}
	list := make([]dnscheck.Expectation, 0, strings.Count(text, recordEnd)+1)
	for text := range strings.SplitSeq(text, recordEnd) {
		var x dnscheck.Expectation
		f := fields{rest: text}
		x.ID, x.Purpose, x.Name, x.Value = f.int(), dnscheck.Purpose(f.text()), f.text(), f.text()
		x.Priority, x.Verified, x.Failures, x.Situation = uint16(f.int()), f.int() == 1, int(f.int()), f.int()
		f.fail(fromText(f.text(), &x.Retired))
		if f.err != nil {
			return nil, f.err
		}
		list = append(list, x)
	}
	return list, nil
}

// fields are those of one packed record, from the first to the last.
type fields struct {
	rest string
	err  error
}

func (f *fields) text() string {
	text, rest, _ := strings.Cut(f.rest, fieldEnd)
	f.rest = rest
	return text
}

func (f *fields) int() int64 {
	n, err := strconv.ParseInt(f.text(), 10, 64)
	f.fail(err)
	return n
}

func (f *fields) fail(err error) {
	if f.err == nil && err != nil {
		f.err = fmt.Errorf("packed record: %w", err)
	}
}
