package dnscheck

import (
	"fmt"

	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/dnscheck/dmarc"
	"github.com/domaind/domaind/dnscheck/name"
	"github.com/domaind/domaind/dnscheck/spf"
)

// Service is what the operator wants every managed domain to publish.
type Service struct {
	MXHost        string // lower case, no final dot
	MXPriority    uint16
	SPF           string
	DMARC         string
	DMARCRequired bool
}

// PlannedRecord is one record that a new domain must publish.
type PlannedRecord struct {
	Purpose  Purpose
	Type     string // MX or TXT
	Host     string // relative to the domain: "@", "_dmarc", "<selector>._domainkey"
	Name     string // FQDN, no final dot
	Value    string
	Priority uint16
	TTL      int // seconds
	Required bool
}

// The types of a PlannedRecord.
const (
	TypeMX  = "MX"
	TypeTXT = "TXT"
)

// planTTL is the TTL that we ask for, in seconds.
const planTTL = 3600

// apex is the host that stands for the domain itself (RFC 1035 section 5.1).
const apex = "@"

// Plan returns the records that a domain must publish, in the order MX, SPF,
// DKIM, DMARC.
func (s Service) Plan(domain string, key dkim.Key) []PlannedRecord {
	records := []PlannedRecord{
		{Purpose: PurposeMX, Type: TypeMX, Host: apex, Value: s.MXHost, Priority: s.MXPriority, Required: true},
		{Purpose: PurposeSPF, Type: TypeTXT, Host: apex, Value: s.SPF, Required: true},
		DKIMRecord(domain, key),
		{Purpose: PurposeDMARC, Type: TypeTXT, Host: "_dmarc", Value: s.DMARC, Required: s.DMARCRequired},
	}
	for i := range records {
		records[i].Name = fqdn(records[i].Host, domain)
		records[i].TTL = planTTL
	}
	return records
}

// DKIMRecord returns the record that publishes one key; a rotation adds it
// beside the old one.
func DKIMRecord(domain string, key dkim.Key) PlannedRecord {
	return PlannedRecord{
		Purpose: PurposeDKIM, Type: TypeTXT, Host: key.Host(), Name: fqdn(key.Host(), domain),
		Value: key.Value(), TTL: planTTL, Required: true,
	}
}

func fqdn(host, domain string) string {
	if host == apex {
		return domain
	}
	return host + "." + domain
}

// LongestPrefix is how many octets the longest record name adds in front of
// its domain, the dot included: that of the DKIM selector.
const LongestPrefix = dkim.SelectorLength + len("._domainkey.")

// Validate returns an error, one sentence for the operator, where a domain
// that publishes exactly this could not work. It names the setting.
func (s Service) Validate() error {
	if host, err := name.Host(s.MXHost); err != nil {
		return fmt.Errorf("MX host: %w", err)
	} else if host != s.MXHost {
		return fmt.Errorf("MX host: write it as %s", host)
	}
	if _, err := spf.Parse(s.SPF); err != nil {
		return fmt.Errorf("SPF: %w", err)
	}
	if _, err := dmarc.Parse(s.DMARC); err != nil {
		return fmt.Errorf("DMARC: %w", err)
	}
	return nil
}
