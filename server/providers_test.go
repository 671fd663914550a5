package server

import (
	"testing"
	"time"
)

// TestProviderOf tells providers by name servers as they are in the world.
func TestProviderOf(t *testing.T) {
	for _, tt := range []struct {
		servers []string
		want    string
	}{
		{[]string{"amy.ns.cloudflare.com", "bob.ns.cloudflare.com"}, "Cloudflare"},
		{[]string{"ns01.domaincontrol.com", "NS02.DOMAINCONTROL.COM."}, "GoDaddy"},
		{[]string{"dns1.registrar-servers.com", "dns2.registrar-servers.com"}, "Namecheap"},
		{[]string{"ns-2048.awsdns-64.com", "ns-2049.awsdns-65.net", "ns-2050.awsdns-66.org", "ns-2051.awsdns-67.co.uk"}, "Amazon Route 53"},
		{[]string{"ns-cloud-a1.googledomains.com"}, "Squarespace or Google Cloud DNS"},
		{[]string{"ns1026.ui-dns.biz", "ns1026.ui-dns.de"}, "IONOS"},
		{[]string{"dns10.ovh.net", "ns10.ovh.net"}, "OVHcloud"},
		{[]string{"ns-1-a.gandi.net", "ns-2-b.gandi.net"}, "Gandi"},
		{[]string{"hydrogen.ns.hetzner.com", "oxygen.ns.hetzner.com", "helium.ns.hetzner.de"}, "Hetzner"},
		{[]string{"ns1.digitalocean.com", "ns2.digitalocean.com"}, "DigitalOcean"},
		{[]string{"ns1-01.azure-dns.com", "ns2-01.azure-dns.net"}, "Azure DNS"},
		{[]string{"ns1.wixdns.net"}, "Wix"},

		{nil, ""},
		{[]string{"ns1.example.com"}, ""},
		{[]string{"ns1.digitalocean.com", "ns1.example.com"}, ""},
		{[]string{"amy.ns.cloudflare.com", "ns1.digitalocean.com"}, ""},
		{[]string{"ns.cloudflare.com.evil.example"}, ""},
	} {
		got := ""
		if p := providerOf(tt.servers); p != nil {
			got = p.Name
		}
		if got != tt.want {
			t.Errorf("%v: %q, want %q", tt.servers, got, tt.want)
		}
	}
}

// TestProblemPages renders every kind of problem.
func TestProblemPages(t *testing.T) {
	files, err := newSetupFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		page, err := files.render("problem.html", map[string]any{
			"Base": "../", "Code": k.code, "Status": k.status, "Wait": "5", "Back": "../x", "Request": "id",
		})
		if err != nil || len(page) < 500 {
			t.Errorf("%s: %v %s", k.code, err, page)
		}
	}
}

// TestUntil puts the time of the next look into words.
func TestUntil(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "in a moment", 9 * time.Second: "in a moment", 10 * time.Second: "in less than a minute",
		59 * time.Second: "in less than a minute", time.Minute: "in about 1 minute", 3 * time.Hour: "in about 3 hours",
	} {
		if got := until(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"v=spf1 -all": "v=spf1 -all", "a\u202eb": `a\u{202E}b`, "a\x00\n": `a\u{0000}\u{000A}`, "\xff": `\255`, "bücher": "bücher",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
