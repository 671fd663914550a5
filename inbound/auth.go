package inbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"blitiri.com.ar/go/spf"
	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/publicsuffix"

	"github.com/domaind/domaind/dnscheck/dmarc"
	"github.com/domaind/domaind/dnscheck/resolve"
	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

// authBudget bounds all lookups of one message; what is not known by then is
// temperror.
const authBudget = 10 * time.Second

// maxSignatures bounds the DKIM signatures that are verified.
const maxSignatures = 8

// The results of RFC 8601 section 2.7 that the code decides by.
const (
	resultNone      = "none"
	resultPass      = "pass"
	resultFail      = "fail"
	resultTempError = "temperror"
	resultPermError = "permerror"
)

// judge says what SPF, DKIM and DMARC make of a message's sender. It never
// fails: what cannot be told is a result too.
func (s *Server) judge(ctx context.Context, m store.Message, raw []byte) (a store.Auth) {
	defer func() {
		if p := recover(); p != nil { // a message must never stop its delivery
			s.c.Log.Error("sender not judged", "message", m.ID, "panic", fmt.Sprint(p))
			a = store.Auth{
				SPF: store.AuthSPF{Result: resultPermError}, DKIM: []store.AuthDKIM{},
				DMARC: store.AuthDMARC{Result: resultPermError},
			}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, authBudget)
	defer cancel()
	from := parse.ReadHeader(raw).FromDomain()
	a.SPF = s.checkSPF(ctx, m)
	a.DKIM = s.checkDKIM(ctx, raw, from)
	a.DMARC = s.checkDMARC(ctx, a, from)
	return a
}

func (s *Server) checkSPF(ctx context.Context, m store.Message) store.AuthSPF {
	_, domain := store.SplitAddress(m.MailFrom)
	if domain == "" {
		domain = m.Helo
	}
	domain = strings.ToLower(domain)
	ip := net.ParseIP(m.RemoteIP)
	if ip == nil || s.c.Resolver == nil {
		return store.AuthSPF{Result: resultNone, Domain: domain}
	}
	// The library takes what is behind the first at sign for the domain, and a
	// quoted local part may hold one.
	sender := m.MailFrom
	if local, d := store.SplitAddress(sender); d != "" {
		sender = strings.ReplaceAll(local, "@", "_") + "@" + d
	}
	result, _ := spf.CheckHostWithSender(ip, m.Helo, sender,
		spf.WithContext(ctx), spf.WithResolver(lookups{s.c.Resolver}))
	return store.AuthSPF{Result: string(result), Domain: domain}
}

func (s *Server) checkDKIM(ctx context.Context, raw []byte, from string) []store.AuthDKIM {
	list := []store.AuthDKIM{}
	if s.c.Resolver == nil || parse.TooLarge(raw) { // the library would take hours
		return list
	}
	found, _ := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{
		MaxVerifications: maxSignatures,
		LookupTXT: func(name string) ([]string, error) {
			return lookups{s.c.Resolver}.LookupTXT(ctx, name)
		},
	})
	for _, v := range found {
		a := store.AuthDKIM{Result: resultPass, Domain: strings.ToLower(v.Domain)}
		switch {
		case v.Err == nil:
		case dkim.IsTempFail(v.Err):
			a.Result = resultTempError
		case dkim.IsPermFail(v.Err):
			a.Result = resultPermError
		default:
			a.Result = resultFail
		}
		if v.Err != nil {
			a.Reason = parse.Printable(v.Err.Error(), 200)
		}
		a.Aligned = aligned(a.Domain, from)
		list = append(list, a)
	}
	return list
}

// checkDMARC finds the policy of the From domain and says whether what passed
// is aligned with it (RFC 9989 sections 4.4 and 4.10).
func (s *Server) checkDMARC(ctx context.Context, a store.Auth, from string) store.AuthDMARC {
	out := store.AuthDMARC{Result: resultNone, Domain: from}
	if from == "" || s.c.Resolver == nil {
		return out
	}
	record, policy, err := s.policyOf(ctx, from)
	switch {
	case err != nil:
		out.Result = resultTempError
		return out
	case policy == dmarc.PolicyAbsent:
		return out
	}
	out.Policy = policy.String()
	strict := func(tag string) bool { return strictAlignment(record, tag) }
	spfPass := a.SPF.Result == resultPass && aligned(a.SPF.Domain, from) &&
		(!strict("aspf") || a.SPF.Domain == from)
	out.Result = resultFail
	if a.SPF.Result == resultTempError {
		out.Result = resultTempError
	}
	for i := range a.DKIM {
		a.DKIM[i].Aligned = a.DKIM[i].Aligned && (!strict("adkim") || a.DKIM[i].Domain == from)
	}
	for _, d := range a.DKIM {
		if d.Result == resultPass && d.Aligned {
			out.Result = resultPass
			return out
		}
		if d.Result == resultTempError {
			out.Result = resultTempError
		}
	}
	if spfPass {
		out.Result = resultPass
	}
	return out
}

// policyOf returns the text of the record that applies to a domain, and what
// it asks for.
func (s *Server) policyOf(ctx context.Context, domain string) (string, dmarc.Policy, error) {
	answer, err := s.c.Resolver.Lookup(ctx, "_dmarc."+domain, resolve.TypeTXT)
	if err != nil {
		return "", dmarc.PolicyAbsent, err
	}
	if kept, _ := dmarc.Select(answer.TXT); len(kept) == 1 {
		if rec, err := dmarc.Parse(kept[0]); err == nil {
			return kept[0], rec.Policy(), nil
		}
	}
	found, _, err := dmarc.Inherited(ctx, s.c.Resolver, domain, func(name string) bool {
		suffix, icann := publicsuffix.PublicSuffix(name)
		return icann && suffix == name
	})
	if err != nil || found.Domain == "" {
		return "", dmarc.PolicyAbsent, err
	}
	return found.Text, found.Record.SubdomainPolicy(true), nil
}

func strictAlignment(record, tag string) bool {
	for _, t := range strings.Split(record, ";") {
		k, v, _ := strings.Cut(t, "=")
		if strings.EqualFold(strings.TrimSpace(k), tag) {
			return strings.EqualFold(strings.TrimSpace(v), "s")
		}
	}
	return false
}

// aligned reports whether two names have one organizational domain.
func aligned(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	return a == b || organization(a) == organization(b)
}

func organization(name string) string {
	org, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return org
}

// authOf returns the judgement of a job's message: the saved one, or a fresh
// one that the outcome saves.
func (s *Server) authOf(ctx context.Context, j store.DeliveryJob, raw []byte) store.Auth {
	if j.Message.Auth != nil && (j.Tries == 0 || !unsettled(*j.Message.Auth)) {
		return *j.Message.Auth
	}
	v, _, _ := s.judging.Do(j.MessageID, func() (any, error) {
		a := s.judge(ctx, j.Message, raw)
		if ctx.Err() == nil { // what a shutdown cut short is no judgement
			s.saveAuth(ctx, j.MessageID, a)
		}
		return a, nil
	})
	a, _ := v.(store.Auth)
	return a
}

func (s *Server) saveAuth(ctx context.Context, messageID string, a store.Auth) {
	err := s.c.Store.SaveAuth(ctx, messageID, a)
	if err != nil && !errors.Is(err, context.Canceled) {
		s.c.Log.Error("judgement not saved", "message", messageID, "error", err)
	}
}

// unsettled reports whether another look may show more: DNS did not answer.
func unsettled(a store.Auth) bool {
	for _, d := range a.DKIM {
		if d.Result == resultTempError {
			return true
		}
	}
	return a.SPF.Result == resultTempError || a.DMARC.Result == resultTempError
}
