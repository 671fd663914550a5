package lab

import (
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// updateWithin bounds one dynamic update.
const updateWithin = 10 * time.Second

// Update sends lines as nsupdate takes them, in one message (RFC 2136): all
// become visible at once or, with an error, none.
//
//	update add NAME TTL TYPE RDATA
//	update delete NAME [TYPE [RDATA]]
//
// The names are in Zone.
func (l *Lab) Update(lines ...string) error {
	message := new(dns.Msg).SetUpdate(Zone + ".")
	for _, line := range lines {
		if err := addLine(message, line); err != nil {
			return fmt.Errorf("update line %q: %w", line, err)
		}
	}
	client := &dns.Client{Net: "tcp", Timeout: updateWithin}
	reply, _, err := client.Exchange(message, l.Authority.String())
	if err != nil {
		return fmt.Errorf("update %s: %w", Zone, err)
	}
	if reply.Rcode != dns.RcodeSuccess {
		return fmt.Errorf("update %s: %s", Zone, dns.RcodeToString[reply.Rcode])
	}
	return nil
}

func addLine(message *dns.Msg, line string) error {
	if rest, ok := strings.CutPrefix(line, "update add "); ok {
		rr, err := dns.NewRR(rest)
		if err == nil && rr == nil {
			err = fmt.Errorf("no record in it")
		}
		if err != nil {
			return err
		}
		message.Insert([]dns.RR{rr})
		return nil
	}
	rest, ok := strings.CutPrefix(line, "update delete ")
	if !ok {
		return fmt.Errorf("neither add nor delete")
	}
	return deleteLine(message, strings.SplitN(strings.TrimSpace(rest), " ", 3))
}

// deleteLine takes the name, and the type and the data where they are given.
func deleteLine(message *dns.Msg, fields []string) error {
	header := dns.RR_Header{Name: dns.Fqdn(fields[0])}
	switch len(fields) {
	case 1:
		message.RemoveName([]dns.RR{&dns.ANY{Hdr: header}})
	case 2:
		kind, ok := dns.StringToType[strings.ToUpper(fields[1])]
		if !ok {
			return fmt.Errorf("unknown type %s", fields[1])
		}
		header.Rrtype = kind
		message.RemoveRRset([]dns.RR{&dns.ANY{Hdr: header}})
	default:
		rr, err := dns.NewRR(fmt.Sprintf("%s 0 %s %s", header.Name, fields[1], fields[2]))
		if err != nil {
			return err
		}
		message.Remove([]dns.RR{rr})
	}
	return nil
}
