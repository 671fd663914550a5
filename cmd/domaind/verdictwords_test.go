package main_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
	"github.com/domaind/domaind/gen/client"
)

const (
	ourIP = "192.0.2.25"
	// stringMax is how long one character-string of a TXT record may be.
	stringMax = 255
	// dkimHead is what stands before the key in the cases that cut it.
	dkimHead = "v=DKIM1; k=rsa; p="
)

// fileWords are the placeholders that do not depend on the case.
func fileWords(constants map[string]string) words {
	w := words{
		"zone": lab.Zone, "zone_upper": strings.ToUpper(lab.Zone), "our_ip": ourIP, "mx_ip": mxIP,
		"foreign": "mail.provider." + lab.Zone, "foreign2": "mail2.provider." + lab.Zone,
		"servfail": lab.ServFail, "servfail2": lab.ServFail2,
	}
	maps.Copy(w, constants)
	return w
}

// caseWords adds what the API says of a fresh domain.
func (w words) caseWords(random string, d client.DomainDetails) (words, error) {
	mine := maps.Clone(w)
	domain := d.Domain.Domain
	_, parent, _ := strings.Cut(domain, ".")
	maps.Copy(mine, words{
		"rand": random, "domain": domain, "parent": parent,
		"mx": d.MX.Host, "prio": strconv.Itoa(d.MX.Priority),
	})
	for _, purpose := range []string{"spf", "dmarc", "dkim"} {
		r, err := record(d, purpose, "")
		if err != nil {
			return nil, err
		}
		mine[purpose] = r.ExpectedValue
		if purpose == "dkim" {
			if err := mine.addDKIM(r, "dkim_"); err != nil {
				return nil, err
			}
		}
	}
	return mine, nil
}

// addDKIM adds a DKIM record and its broken forms under a prefix.
func (w words) addDKIM(r client.DNSRecord, prefix string) error {
	_, key, ok := strings.Cut(r.ExpectedValue, "p=")
	if !ok || len(key) <= 200 {
		return fmt.Errorf("%q has no p=", r.ExpectedValue)
	}
	pkcs1, err := asPKCS1(key)
	if err != nil {
		return err
	}
	if prefix == "dkim_" {
		w["selector"], _, _ = strings.Cut(r.Name, ".")
	}
	maps.Copy(w, words{
		prefix + "name":       r.Name,
		prefix + "value":      r.ExpectedValue,
		prefix + "txt":        quoted(r.ExpectedValue),
		prefix + "value_255":  r.ExpectedValue[:stringMax],
		prefix + "value_rest": r.ExpectedValue[stringMax:],
		prefix + "p":          key,
		prefix + "p1":         key[:200],
		prefix + "p2":         key[200:],
		prefix + "p1_fold":    folded(key[:200]),
		prefix + "p2_fold":    folded(key[200:]),
		prefix + "p1_lower":   strings.ToLower(key[:200]),
		prefix + "p2_lower":   strings.ToLower(key[200:]),
		prefix + "p_cut255":   key[:stringMax-len(dkimHead)],
		prefix + "pkcs1_1":    pkcs1[:200],
		prefix + "pkcs1_2":    pkcs1[200:],
	})
	return nil
}

// asPKCS1 returns the same key as a bare RSAPublicKey (RFC 8017 appendix A).
func asPKCS1(spki string) (string, error) {
	der, err := base64.StdEncoding.DecodeString(spki)
	if err != nil {
		return "", err
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return "", err
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return "", fmt.Errorf("the DKIM key is a %T", key)
	}
	return base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(public)), nil
}

// quoted writes a text as the strings of a master file.
func quoted(text string) string {
	var parts []string
	for len(text) > stringMax {
		parts, text = append(parts, `"`+text[:stringMax]+`"`), text[stringMax:]
	}
	return strings.Join(append(parts, `"`+text+`"`), " ")
}

// folded puts a space after each 64 characters.
func folded(s string) string {
	const width = 64
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width] + " ")
		s = s[width:]
	}
	return b.String() + s
}
