package dkim

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
)

// Why the p= of a record gives no key to verify with.
var (
	ErrRevoked   = errors.New("the key is revoked")
	ErrBase64    = errors.New("p= is not base64")
	ErrPKCS1     = errors.New("p= holds a bare RSAPublicKey")
	ErrWrongType = errors.New("p= holds a key of another type than k=")
	ErrNoKey     = errors.New("p= holds no public key")
)

// MinBits is the size below which verifiers must refuse an RSA key, and
// GoodBits the one that signers should use (RFC 8301 section 3.2).
const (
	MinBits  = 1024
	GoodBits = 2048
)

// PublicKey is a decoded key: exactly one of its fields is set.
type PublicKey struct {
	RSA     *rsa.PublicKey
	Ed25519 ed25519.PublicKey
}

// Equal reports whether both are the same key: RSA by modulus and exponent,
// Ed25519 by its 32 octets. The zero PublicKey equals nothing.
func (k PublicKey) Equal(other PublicKey) bool {
	switch {
	case k.RSA != nil && other.RSA != nil:
		return k.RSA.Equal(other.RSA)
	case k.Ed25519 != nil && other.Ed25519 != nil:
		return k.Ed25519.Equal(other.Ed25519)
	}
	return false
}

// Bits is the size of an RSA modulus, 0 for another key.
func (k PublicKey) Bits() int {
	if k.RSA == nil {
		return 0
	}
	return k.RSA.N.BitLen()
}

// Type is the k= that goes with the key, "" for the zero PublicKey.
func (k PublicKey) Type() string {
	switch {
	case k.RSA != nil:
		return TypeRSA
	case k.Ed25519 != nil:
		return TypeEd25519
	}
	return ""
}

// Key decodes p= as k= demands: a SubjectPublicKeyInfo for rsa (RFC 6376
// erratum 3017), 32 raw octets for ed25519 (RFC 8463 section 4). The error is
// one of the Err sentinels. With ErrPKCS1 and ErrWrongType the key comes back
// too, where p= holds one in the wrong clothes.
func (r Record) Key() (PublicKey, error) {
	if r.P == "" {
		return PublicKey{}, ErrRevoked
	}
	der, err := base64.StdEncoding.Strict().DecodeString(r.P)
	if err != nil {
		return PublicKey{}, ErrBase64
	}
	key, form := decode(der)
	switch {
	case r.Type == TypeRSA && form == formSPKI && key.RSA != nil,
		r.Type == TypeEd25519 && form == formRaw:
		return key, nil
	case r.Type == TypeRSA && form == formPKCS1:
		return key, ErrPKCS1
	case form == formNone && (r.Type == TypeRSA || r.Type == TypeEd25519):
		return key, ErrNoKey
	}
	return key, ErrWrongType
}

type form int

const (
	formNone form = iota
	formSPKI
	formPKCS1
	formRaw
)

// decode finds a key in whichever form it is written.
func decode(der []byte) (PublicKey, form) {
	if len(der) == ed25519.PublicKeySize {
		return PublicKey{Ed25519: der}, formRaw
	}
	if pub, err := x509.ParsePKIXPublicKey(der); err == nil {
		switch pub := pub.(type) {
		case *rsa.PublicKey:
			return PublicKey{RSA: pub}, formSPKI
		case ed25519.PublicKey:
			return PublicKey{Ed25519: pub}, formSPKI
		}
		return PublicKey{}, formSPKI
	}
	if pub, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return PublicKey{RSA: pub}, formPKCS1
	}
	return PublicKey{}, formNone
}
