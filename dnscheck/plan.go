package dnscheck

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
