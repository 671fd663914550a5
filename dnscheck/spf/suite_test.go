package spf

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// The test suite of openspf.org for RFC 7208 comes with the source of
// blitiri.com.ar/go/spf, which the differential test needs anyway.

type texts []string

func (s *texts) UnmarshalYAML(v *yaml.Node) error {
	var many []string
	if v.Decode(&many) == nil {
		*s = many
		return nil
	}
	var one string
	err := v.Decode(&one)
	*s = texts{one}
	return err
}

type suite struct {
	Description string
	Tests       map[string]struct {
		Helo, Host string
		MailFrom   string `yaml:"mailfrom"`
		Result     texts
		Skip       string
	}
	ZoneData map[string][]yaml.Node `yaml:"zonedata"`
}

func (s suite) zone(t *testing.T) Zone {
	z := Zone{}
	for name, entries := range s.ZoneData {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		z.add(t, name, entries)
	}
	return z
}

func (z Zone) add(t *testing.T, name string, entries []yaml.Node) {
	rr := z[name]
	for _, e := range entries {
		var word string
		if e.Decode(&word) == nil {
			rr.Fail = true // TIMEOUT
			continue
		}
		var m map[string]yaml.Node
		if err := e.Decode(&m); err != nil {
			t.Fatal(err)
		}
		for kind, v := range m {
			rr.set(t, kind, v)
		}
	}
	// A name with SPF and no TXT serves the same text as TXT.
	if len(rr.TXT) == 0 {
		rr.TXT = rr.spf
	}
	rr.TXT = slices.DeleteFunc(rr.TXT, func(s []string) bool { return len(s) == 1 && s[0] == "NONE" })
	z[name] = rr
}

func (rr *RR) set(t *testing.T, kind string, v yaml.Node) {
	var s texts
	switch kind {
	case "MX":
		var pair []any
		if err := v.Decode(&pair); err != nil {
			t.Fatal(err)
		}
		rr.MX = append(rr.MX, pair[1].(string))
		return
	case "TIMEOUT", "SERVFAIL", "CNAMELOOP":
		rr.Fail = true
		return
	}
	if err := v.Decode(&s); err != nil {
		t.Fatal(kind, err)
	}
	switch kind {
	case "A", "AAAA":
		rr.Addrs = append(rr.Addrs, s...)
	case "PTR":
		rr.PTR = append(rr.PTR, s...)
	case "TXT":
		rr.TXT = append(rr.TXT, s)
	case "SPF":
		rr.spf = append(rr.spf, s)
	case "CNAME":
		rr.CNAME = s[0]
	default:
		t.Fatal("unknown type", kind)
	}
}

// unlike lists the tests of the suite that this package answers otherwise.
var unlike = map[string]string{}

func TestSuite(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "blitiri.com.ar/go/spf").Output()
	if err != nil {
		t.Skip("no module cache:", err)
	}
	for _, file := range []string{"rfc7208-tests.yml", "pyspf-tests.yml"} {
		f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "testdata", file))
		if err != nil {
			t.Skip("the module came without its tests:", err)
		}
		d := yaml.NewDecoder(f)
		for {
			var s suite
			err := d.Decode(&s)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(file, err)
			}
			t.Run(file+"/"+s.Description, s.run)
		}
		f.Close()
	}
}

func (s suite) run(t *testing.T) {
	z := s.zone(t)
	for name, c := range s.Tests {
		if c.Skip != "" {
			continue
		}
		domain := c.MailFrom[strings.LastIndexByte(c.MailFrom, '@')+1:]
		sender := c.MailFrom
		if domain == "" {
			domain, sender = c.Helo, ""
		}
		q := Query{IP: netip.MustParseAddr(c.Host), Domain: strings.ToLower(domain), Sender: sender, HELO: c.Helo}
		got := Check(context.Background(), z, q)
		want := slices.Contains(c.Result, string(got.Result))
		if why := unlike[name]; why != "" {
			if want {
				t.Errorf("%s: answered like the suite now; no need for the exception: %s", name, why)
			}
			continue
		}
		if !want {
			t.Errorf("%s: got %s (%v), want %v", name, got.Result, got.Problem, c.Result)
		}
	}
}
