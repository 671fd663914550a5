package server

import (
	"strconv"
	"strings"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/store"
)

// What comes in may be refused; what goes out cannot fail.

func fromListParams(p api.ListDomainsParams) store.DomainFilter {
	return store.DomainFilter{
		OrganizationID: value(p.OrganizationID),
		Status:         store.DomainStatus(value(p.Status)),
		Limit:          valueOr(p.Limit, defaultLimit),
		Cursor:         value(p.Cursor),
	}
}

func fromMark(b api.MarkDNSRequest) (store.Mark, error) {
	if b.ObservedValue != nil {
		if err := refusal(validObserved(*b.ObservedValue)); err != nil {
			return store.Mark{}, err
		}
	}
	return store.Mark{RecordID: b.ID, Status: store.RecordStatus(b.Status), Observed: b.ObservedValue}, nil
}

// fromRoute reads a route. Every value is judged, also those that the mode
// does not use: they are kept, and a later mode may use them.
func (s *Server) fromRoute(b api.PutRouteRequest, ifMatch *string) (store.PutRoute, error) {
	p := store.PutRoute{
		Mode:       store.ForwardMode(b.ForwardMode),
		WebhookURL: value(b.WebhookURL),
		ForwardTo:  value(b.ForwardToEmail),
		IfMatch:    fromIfMatch(ifMatch),
	}
	var refused []*fieldError
	if b.WebhookURL != nil {
		refused = append(refused, validWebhookURL(*b.WebhookURL, s.cfg.PrivateWebhooks))
	}
	if b.ForwardToEmail != nil {
		to, err := canonicalEmail(*b.ForwardToEmail, s.cfg.Policy)
		refused = append(refused, err)
		p.ForwardTo = to
	}
	if b.WebhookSecret.IsNull() {
		p.Secret = ptr("")
	} else if secret, err := b.WebhookSecret.Get(); err == nil {
		refused = append(refused, validSecret(secret))
		p.Secret = &secret
	}
	refused = append(refused, missingForMode(string(b.ForwardMode), b.WebhookURL != nil, b.ForwardToEmail != nil))
	if err := refusal(refused...); err != nil {
		return store.PutRoute{}, err
	}
	return p, nil
}

// fromIfMatch reads a list of entity tags (RFC 9110 section 13.1.1). "*" asks
// only that the route exists, which every domain's does. A tag that is not one
// of ours, or is weak, matches no version.
func fromIfMatch(tags *string) []int64 {
	if tags == nil || *tags == "*" {
		return nil
	}
	versions := []int64{}
	for tag := range strings.SplitSeq(*tags, ",") {
		tag = strings.Trim(tag, " \t")
		if v, err := strconv.ParseInt(strings.Trim(tag, `"`), 10, 64); err == nil && etag(v) == tag {
			versions = append(versions, v)
		}
	}
	return versions
}

// etag names a version of a route.
func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

func (s *Server) toDetails(d store.Details) api.DomainDetails {
	return api.DomainDetails{
		Domain: toDomain(d.Domain),
		DNS:    each(d.Records, toRecord),
		Route:  toRoute(d.Domain.Name, d.Route),
		MX:     api.MailExchange{Host: s.cfg.Service.MXHost, Priority: int(s.cfg.Service.MXPriority)},
	}
}

func toDomain(d store.Domain) api.Domain {
	out := api.Domain{
		Domain:         d.Name,
		Unicode:        d.Unicode,
		Status:         api.DomainStatus(d.Status),
		UserID:         d.UserID,
		OrganizationID: optional(d.OrganizationID),
		InboundReady:   d.InboundReady,
		SendingReady:   d.SendingReady,
		Degraded:       d.Degraded,
		CreatedAt:      d.CreatedAt.UTC(),
		UpdatedAt:      d.UpdatedAt.UTC(),
		VerifiedAt:     optionalTime(d.VerifiedAt),
		LastCheckedAt:  optionalTime(d.LastCheckedAt),
		NextCheckAt:    optionalTime(d.NextCheckAt),
	}
	if d.HeldByOther {
		out.HeldByOther = &d.HeldByOther
	}
	return out
}

func toRecord(r store.Record) api.DNSRecord {
	out := api.DNSRecord{
		ID:             r.ID,
		RecordType:     api.DNSRecordRecordType(r.Type),
		Purpose:        api.DNSRecordPurpose(r.Purpose),
		Host:           r.Host,
		Name:           r.Name,
		ExpectedValue:  r.Value,
		TTL:            r.TTL,
		Required:       r.Required,
		Status:         api.RecordStatus(r.Status),
		Override:       r.Override,
		ObservedValues: append([]string{}, r.Observed...),
		Code:           optional(r.Code),
		Detail:         optional(r.Detail),
		Hint:           optional(r.Hint),
		SuggestedValue: optional(r.Suggested),
		Warnings:       each(r.Warnings, toWarning),
		LastCheckedAt:  optionalTime(r.LastCheckedAt),
		VerifiedAt:     optionalTime(r.VerifiedAt),
	}
	if r.Purpose == dnscheck.PurposeMX {
		out.Priority = ptr(int(r.Priority))
	}
	if len(r.Observed) > 0 {
		out.ObservedValue = &r.Observed[0]
	}
	return out
}

// toPublish gives the records that belong into the zone: not those that an
// admin disabled.
func toPublish(records []store.Record) []dnscheck.PlannedRecord {
	var out []dnscheck.PlannedRecord
	for _, r := range records {
		if r.Status != store.RecordStatusDisabled {
			out = append(out, dnscheck.PlannedRecord{
				Purpose: r.Purpose, Type: r.Type, Host: r.Host, Name: r.Name,
				Value: r.Value, Priority: r.Priority, TTL: r.TTL, Required: r.Required,
			})
		}
	}
	return out
}

func toWarning(w dnscheck.Warning) api.Warning {
	return api.Warning{Code: w.Code, Detail: w.Detail}
}

func toRoute(domain string, r store.Route) api.Route {
	return api.Route{
		Domain:           domain,
		ForwardMode:      api.ForwardMode(r.Mode),
		WebhookURL:       optional(r.WebhookURL),
		ForwardToEmail:   optional(r.ForwardTo),
		HasWebhookSecret: r.HasWebhookSecret,
		WebhookSecret:    optional(r.NewSecret.Reveal()),
		Etag:             etag(r.Version),
		UpdatedAt:        r.UpdatedAt.UTC(),
	}
}

func toEvent(e store.Event) api.Event {
	out := api.Event{
		ID:     e.ID,
		Type:   e.Type,
		Actor:  e.Actor,
		From:   optional(e.From),
		To:     optional(e.To),
		Detail: optional(e.Detail),
		At:     e.At.UTC(),
	}
	if e.RecordID != 0 {
		out.RecordID = &e.RecordID
	}
	return out
}

func toFieldError(f fieldError) api.FieldError {
	return api.FieldError{Pointer: f.Pointer, Code: f.Code, Detail: f.Detail}
}

// each maps a list; the result is never nil, so that JSON shows [] and not null.
func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i := range in {
		out[i] = f(in[i])
	}
	return out
}

func ptr[T any](v T) *T { return &v }

// value gives what p points to, or the zero value.
func value[T any](p *T) T {
	var zero T
	return valueOr(p, zero)
}

func valueOr[T any](p *T, other T) T {
	if p == nil {
		return other
	}
	return *p
}

// optional leaves out a text that is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// optionalTime leaves out a time that is zero.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
