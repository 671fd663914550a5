package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store"
)

// What a card or the page looks like; its words say the same.
const (
	toneOK   = "ok"   // done
	toneWait = "wait" // nothing seen yet
	toneFix  = "fix"  // something is there, and wrong
	toneOff  = "off"  // nothing to do
)

// setupView is what the page shows.
type setupView struct {
	Token   string
	Domain  string
	Unicode string // "" when it is the same
	Status  string
	Tone    string

	Title, Lead, Text, Announce string

	Done, Total int
	Steps       []string // a tone for each required record

	Checked, Next string // in words; "" when not known
	CheckedAt     string
	Expires       string

	Zone     string // its apex, where that is not the domain
	Unplaced bool   // nobody could say which zone it is
	Provider *provider
	Servers  string // who serves the zone, where the provider is not known
	Records  []recordView
}

// recordView is what a record's card shows.
type recordView struct {
	Part, Tone, Label string // Part is the name of its part of the page

	ID                  int64
	Type, Purpose, What string
	Status, Code        string
	Optional            bool
	Host, Name          string
	Value               string
	Merged              bool // Value keeps what is published now
	Split               string
	SplitOpen           bool
	IsMX                bool
	Priority            uint16
	TTL                 int
	Observed            []string
	Detail, Hint        string
	Accepted            bool // verified by hand, whatever DNS says
	Warnings            []string
}

// maxServers is how many name servers the page names.
const maxServers = 5

// setupView reads what the page of a link shows.
func (s *Server) setupView(ctx context.Context, l store.OpenLink) (setupView, error) {
	d, err := s.cfg.Store.Domain(ctx, l.Tenant, l.Domain)
	if err != nil {
		return setupView{}, err
	}
	now := s.cfg.Now()
	zone := s.zones.of(ctx, l.Domain)
	v := setupView{
		Domain: d.Domain.Name, Status: string(d.Domain.Status), Provider: providerOf(zone.Servers),
		Expires: l.ExpiresAt.UTC().Format("2 January 2006, 15:04 UTC"),
	}
	if d.Domain.Unicode != d.Domain.Name {
		v.Unicode = d.Domain.Unicode
	}
	v.Unplaced = zone.Name == ""
	if zone.Name != d.Domain.Name {
		v.Zone = zone.Name
	}
	if v.Provider == nil {
		v.Servers = strings.Join(zone.Servers[:min(len(zone.Servers), maxServers)], ", ")
	}
	if at := d.Domain.LastCheckedAt; !at.IsZero() {
		v.Checked, v.CheckedAt = ago(now.Sub(at)), at.UTC().Format(time.RFC3339)
	}
	if at := d.Domain.NextCheckAt; !at.IsZero() {
		v.Next = until(at.Sub(now))
	}
	for _, r := range d.Records {
		card := toRecordView(r, zone)
		card.SplitOpen = v.Provider != nil && v.Provider.Quoted
		v.Records = append(v.Records, card)
		if r.Required && r.Status != store.RecordStatusDisabled {
			v.Total++
			v.Steps = append(v.Steps, card.Tone)
			if r.Status == store.RecordStatusVerified {
				v.Done++
			}
		}
	}
	v.say(d)
	return v, nil
}

// say puts the state of the domain into words.
func (v *setupView) say(d store.Details) {
	open := slices.ContainsFunc(d.Records, func(r store.Record) bool {
		return !r.Required && r.Status != store.RecordStatusVerified && r.Status != store.RecordStatusDisabled
	})
	fix := slices.ContainsFunc(v.Records, func(r recordView) bool { return r.Tone == toneFix })
	counted := fmt.Sprintf("%d of %d records are in place.", v.Done, v.Total)
	v.Title, v.Announce = counted, counted
	switch {
	case d.Domain.Status == store.DomainStatusActive && d.Domain.Degraded:
		v.Tone, v.Lead = toneFix, "A record has changed"
		v.Text = "The domain still works. Put the record below back as it was, so that it stays that way."
	case d.Domain.Status == store.DomainStatusActive && open:
		v.Tone, v.Lead = toneOK, "Your domain is ready"
		v.Text = "Everything that is required is in place. One more record below is recommended."
	case d.Domain.Status == store.DomainStatusActive:
		v.Tone, v.Lead = toneOK, "Your domain is ready"
		v.Text = "All records are in place, and there is nothing left to do. Keep them as they are; you can close this page."
	case d.Domain.HeldByOther:
		v.Tone, v.Lead = toneFix, "The domain is in use by another account"
		v.Text = "The records are right, but another account has proved this domain before. Ask whoever sent you this link."
	case fix:
		v.Tone, v.Lead = toneFix, "Some records need a change"
		v.Text = "The cards below say what was found, and what to change."
	case v.Done > 0:
		v.Tone, v.Lead = toneWait, "On the way"
		v.Text = "What you have entered is right. Add the records that are still missing."
	default:
		v.Tone, v.Lead = toneWait, fmt.Sprintf("Add %d records to your DNS", v.Total)
		v.Text = "Sign in where your domain's DNS is managed, and add each record below exactly as it stands here."
	}
	if d.Domain.Status == store.DomainStatusActive {
		v.Announce, v.Title = v.Lead+".", v.Lead
	}
}

func toRecordView(r store.Record, zone Zone) recordView {
	v := recordView{
		Part: fmt.Sprintf("record-%d", r.ID), ID: r.ID, Type: r.Type, Status: string(r.Status), Code: r.Code,
		Purpose: strings.ToUpper(string(r.Purpose)), What: purposes[r.Purpose], Optional: !r.Required,
		Host: zone.host(r.Name, r.Host), Name: r.Name, Value: toEnter(r), IsMX: r.Purpose == dnscheck.PurposeMX,
		Priority: r.Priority, TTL: r.TTL, Detail: r.Detail,
	}
	v.Tone, v.Label = look(r)
	v.Accepted = v.Tone == toneOK && r.Override
	v.Merged = v.Tone != toneOK && v.Value != r.Value
	v.Hint = onCard(r.Hint, r, v)
	if v.Type == dnscheck.TypeTXT {
		line := dnscheck.Zone(toPublish([]store.Record{{Type: r.Type, Name: r.Name, Value: v.Value}}))
		_, quoted, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " TXT ")
		v.Split = quoted
	}
	if v.Tone != toneOK {
		v.Observed = r.Observed
	}
	for _, w := range r.Warnings {
		v.Warnings = append(v.Warnings, w.Detail)
	}
	return v
}

var purposes = map[dnscheck.Purpose]string{
	dnscheck.PurposeMX:    "Brings mail for your domain to us",
	dnscheck.PurposeSPF:   "Lets us send mail in your domain's name",
	dnscheck.PurposeDKIM:  "Signs your mail, and proves that the domain is yours",
	dnscheck.PurposeDMARC: "Tells receivers what to do with forged mail",
}

// toEnter is the value that the admin should publish: where a record of his own
// is in the way, the one that keeps what is in it; and where his own is right,
// that one, so that nobody replaces it by less.
func toEnter(r store.Record) string {
	right := r.Status == store.RecordStatusVerified && !r.Degraded
	own := r.Purpose == dnscheck.PurposeSPF || r.Purpose == dnscheck.PurposeDMARC
	switch {
	case right && own && len(r.Observed) == 1 && !strings.ContainsAny(r.Observed[0], `\…`): // neither escaped nor cut
		return r.Observed[0]
	case !right && r.Suggested != "":
		return r.Suggested
	}
	return r.Value
}

// onCard fits a hint to its card, which shows the value to copy beside it, and
// the host as it is entered in the zone.
func onCard(hint string, r store.Record, v recordView) string {
	hint = strings.ReplaceAll(hint, "(host "+r.Host+")", "(host "+v.Host+")")
	hint = strings.ReplaceAll(hint, "the value: "+v.Value, "the value below.")
	if len(v.Value) > longValue {
		hint = strings.ReplaceAll(hint, v.Value, "the value below.")
	}
	return hint
}

// longValue is how many octets of a value a hint does not repeat.
const longValue = 100

// look says what a record's state looks like.
func look(r store.Record) (tone, label string) {
	seen := len(r.Observed) > 0
	switch {
	case r.Status == store.RecordStatusDisabled:
		return toneOff, "Not needed"
	case r.Status == store.RecordStatusVerified && r.Degraded:
		return toneFix, "Has changed"
	case r.Status == store.RecordStatusVerified && r.Override:
		return toneOK, "Accepted by the operator"
	case r.Status == store.RecordStatusVerified:
		return toneOK, "Verified"
	case r.LastCheckedAt.IsZero():
		return toneWait, "Not checked yet"
	case seen:
		return toneFix, "Needs a change"
	case strings.HasSuffix(r.Code, "_missing"), r.Code == "":
		return toneWait, "Not found yet"
	default:
		return toneFix, "Could not be verified"
	}
}

// ago puts a time that has passed into words.
func ago(d time.Duration) string {
	if d < 10*time.Second {
		return "just now"
	}
	return span(d) + " ago"
}

// until puts a time that comes into words.
func until(d time.Duration) string {
	if d < 10*time.Second {
		return "in a moment"
	}
	if d < time.Minute {
		return "in " + span(d)
	}
	return "in about " + span(d)
}

func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return count(int(d.Round(time.Minute)/time.Minute), "minute")
	case d < 48*time.Hour:
		return count(int(d.Round(time.Hour)/time.Hour), "hour")
	default:
		return count(int(d/(24*time.Hour)), "day")
	}
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// maxVisible bounds what is shown of a text from DNS, in characters.
const maxVisible = 1000

// visible makes a text from DNS safe to look at: what has nothing to see, or
// turns the direction of what follows, stands as its code.
func visible(s string) string {
	var b strings.Builder
	n := 0
	for i, r := range s {
		if n++; n > maxVisible {
			b.WriteString("…")
			break
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\%03d`, s[i])
		case unprintable(r):
			fmt.Fprintf(&b, `\u{%04X}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
