package dkim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"
)

// SelectorLength is the length of a generated selector.
const SelectorLength = 1 + selectorOctets*8/5

// selectorOctets is how much randomness a selector holds.
const selectorOctets = 10

// keyBits is the size of an RSA signing key (RFC 8301 section 3.2).
const keyBits = 2048

// Key is a signing key with the selector that it is published under.
type Key struct {
	// Selector is a random label, so that no two claims on a name ever share
	// one and seeing the key in DNS proves who may publish there.
	Selector string
	// Public is what the TXT record's p= holds: base64 of the
	// SubjectPublicKeyInfo (RFC 6376 section 3.6.1).
	Public string
	// Private is the key in PKCS #8, DER.
	Private []byte
}

// Generate returns a fresh RSA-2048 key; it costs 100 to 150 ms of CPU.
func Generate() (Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return Key{}, fmt.Errorf("generate DKIM key: %w", err)
	}
	return newKey(private)
}

func newKey(private *rsa.PrivateKey) (Key, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, fmt.Errorf("encode DKIM key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return Key{}, fmt.Errorf("encode DKIM public key: %w", err)
	}
	return Key{
		Selector: newSelector(),
		Public:   base64.StdEncoding.EncodeToString(public),
		Private:  der,
	}, nil
}

// Value returns the text of the TXT record that publishes the key.
func (k Key) Value() string {
	return "v=DKIM1; k=rsa; p=" + k.Public
}

// Host returns the record's name relative to the domain.
func (k Key) Host() string {
	return k.Selector + "._domainkey"
}

func newSelector() string {
	var random [selectorOctets]byte
	_, _ = rand.Read(random[:]) // never fails, says its documentation
	return "d" + strings.ToLower(base32.StdEncoding.EncodeToString(random[:]))
}
