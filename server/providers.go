package server

import "strings"

// provider is a DNS provider, and where its customers enter records.
type provider struct {
	Name string
	// Click is the way through its pages.
	Click []string
	// Note is what people get wrong there; "" is nothing.
	Note string
	// Quoted says that it wants TXT values in quotes, and long ones split.
	Quoted bool

	suffixes []string // of its name servers
	parts    []string // of them, where they end in many ways
}

// providers are those with the most zones.
var providers = []provider{
	{
		Name: "Cloudflare", suffixes: []string{".ns.cloudflare.com"},
		Click: []string{"Your domain", "DNS", "Records", "Add record"},
		Note:  "Cloudflare accepts the short host as well as the full name. It shows the TXT value in quotes afterwards; that is fine.",
	},
	{
		Name: "GoDaddy", suffixes: []string{".domaincontrol.com"},
		Click: []string{"My Products", "your domain", "DNS", "Add New Record"},
		Note:  "Enter the short host only: GoDaddy adds the domain to it by itself.",
	},
	{
		Name: "Namecheap", suffixes: []string{".registrar-servers.com", ".namecheaphosting.com"},
		Click: []string{"Domain List", "Manage", "Advanced DNS", "Add New Record"},
		Note:  "MX records are further down, below Mail Settings: choose Custom MX there. Enter the short host only.",
	},
	{
		Name: "Amazon Route 53", parts: []string{".awsdns-"}, Quoted: true,
		Click: []string{"Route 53", "Hosted zones", "your domain", "Create record"},
		Note:  "Route 53 wants a TXT value in quotes, and the priority of an MX record in front of its value.",
	},
	{
		Name: "Squarespace or Google Cloud DNS", suffixes: []string{".googledomains.com", ".squarespacedns.com", ".google.com"},
		Click: []string{"Domains", "your domain", "DNS", "Custom records", "Add record"},
		Note:  "With Google Cloud DNS it is Network services, Cloud DNS, your zone, Add standard; put TXT values in quotes there.",
	},
	{
		Name: "IONOS", parts: []string{".ui-dns."},
		Click: []string{"Domains & SSL", "your domain", "DNS", "Add record"},
		Note:  "Enter the short host only. If IONOS warns that its own mail records will be replaced, that is what you want here.",
	},
	{
		Name: "OVHcloud", suffixes: []string{".ovh.net", ".ovh.ca", ".anycast.me"},
		Click: []string{"Web Cloud", "Domain names", "your domain", "DNS zone", "Add an entry"},
		Note:  "For SPF, DKIM and DMARC choose the plain TXT form, not the guided one: it changes the value.",
	},
	{
		Name: "Gandi", suffixes: []string{".gandi.net"},
		Click: []string{"Domain", "your domain", "DNS Records", "Add record"},
		Note:  "Gandi wants a full stop at the end of an MX host.",
	},
	{
		Name: "Hetzner", suffixes: []string{".ns.hetzner.com", ".ns.hetzner.de", ".your-server.de", ".first-ns.de", ".second-ns.de", ".second-ns.com"},
		Click: []string{"DNS Console", "your zone", "Records", "Add record"},
		Note:  "Enter the short host, and put a full stop at the end of an MX host.",
	},
	{
		Name: "DigitalOcean", suffixes: []string{".digitalocean.com"},
		Click: []string{"Networking", "Domains", "your domain", "Create new record"},
		Note:  "Enter the short host only, and put a full stop at the end of an MX host.",
	},
	{
		Name: "Azure DNS", parts: []string{".azure-dns."},
		Click: []string{"DNS zones", "your zone", "Recordsets", "Add"},
	},
	{
		Name: "Wix", suffixes: []string{".wixdns.net"},
		Click: []string{"Domains", "your domain", "Manage DNS Records", "Add Record"},
	},
}

// providerOf tells the provider by the zone's name servers; nil when it is
// none of ours, or they are of several.
func providerOf(servers []string) *provider {
	var found *provider
	for _, host := range servers {
		p := servedBy(strings.ToLower(strings.TrimSuffix(host, ".")))
		if p == nil || found != nil && p != found {
			return nil
		}
		found = p
	}
	return found
}

func servedBy(host string) *provider {
	for i := range providers {
		for _, s := range providers[i].suffixes {
			if strings.HasSuffix(host, s) {
				return &providers[i]
			}
		}
		for _, s := range providers[i].parts {
			if strings.Contains(host, s) {
				return &providers[i]
			}
		}
	}
	return nil
}
