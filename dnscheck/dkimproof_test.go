package dnscheck

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// A record that we call a match verifies what our key signs, and one that we
// refuse does not: a verifier that is not ours is the judge.
func TestDKIMAgainstVerifier(t *testing.T) {
	k, seed := testKeys(), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	edValue := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(seed.Public().(ed25519.PublicKey))
	rsaValue := "v=DKIM1; k=rsa; p=" + k.ours.p
	rsaSigned := sign(t, &msgauth.SignOptions{Domain: testDomain, Selector: "sel", Signer: k.ours.private})
	edSigned := sign(t, &msgauth.SignOptions{Domain: testDomain, Selector: "sel", Signer: seed})
	cases := []struct {
		name, value, published string
		message                []byte
	}{
		{"plain", rsaValue, rsaValue, rsaSigned},
		{"no v, other order", rsaValue, "p=" + k.ours.p + "; k=rsa;", rsaSigned},
		{"hashes and services", rsaValue, "v=DKIM1; h=sha256; s=email; p=" + k.ours.p, rsaSigned},
		{"ed25519", edValue, edValue, edSigned},
		{"another key", rsaValue, "v=DKIM1; p=" + k.old.p, rsaSigned},
		{"truncated", rsaValue, rsaValue[:255], rsaSigned},
		{"revoked", rsaValue, "v=DKIM1; p=", rsaSigned},
		{"service", rsaValue, "v=DKIM1; s=tlsrpt; p=" + k.ours.p, rsaSigned},
		{"hash", rsaValue, "v=DKIM1; h=sha1; p=" + k.ours.p, rsaSigned},
		{"type", rsaValue, "v=DKIM1; k=ed25519; p=" + k.ours.p, rsaSigned},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			z := newZone(t, txt(dkimName, c.published))
			x := dkimExpectation()
			x.Value = c.value
			matches := judgeDKIM(context.Background(), testEnv(z), x).Verdict == VerdictMatch
			if verifies := verify(t, z, c.message); matches != verifies {
				t.Errorf("match %v, verifies %v", matches, verifies)
			}
		})
	}
}

func sign(t *testing.T, options *msgauth.SignOptions) []byte {
	t.Helper()
	var signed bytes.Buffer
	mail := "From: a@" + testDomain + "\r\nTo: b@lab.example\r\nSubject: proof\r\n\r\nHello.\r\n"
	if err := msgauth.Sign(&signed, strings.NewReader(mail), options); err != nil {
		t.Fatal(err)
	}
	return signed.Bytes()
}

func verify(t *testing.T, z *zoneMap, message []byte) bool {
	t.Helper()
	lookup := func(name string) ([]string, error) {
		answer, err := z.Lookup(context.Background(), name, resolve.TypeTXT)
		if err == nil && answer.Empty() {
			err = errors.New("no such record")
		}
		return joined(answer.TXT), err
	}
	found, err := msgauth.VerifyWithOptions(bytes.NewReader(message), &msgauth.VerifyOptions{LookupTXT: lookup})
	if err != nil || len(found) != 1 {
		t.Fatalf("%d signatures, %v", len(found), err)
	}
	return found[0].Err == nil
}
