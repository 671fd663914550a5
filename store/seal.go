package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

// A sealed value is a version octet, the id of its master key, a nonce, and
// the AES-256-GCM ciphertext. Its associated data names the row that it stands
// in, so that a value copied to another row does not open.
const (
	sealVersion  = 1
	masterKeyLen = 32
	keyIDLen     = 8
	nonceLen     = 12
	sealHeader   = 1 + keyIDLen
)

// ErrMasterKey: the master key file is missing, malformed, or not the one that
// the database was sealed with.
var ErrMasterKey = errors.New("wrong master key")

// masterKey seals and opens.
type masterKey struct {
	id     string // hex; a hash of the key, safe to show
	secret Secret // base64
	aead   cipher.AEAD
}

func newMasterKey(key []byte) (masterKey, error) {
	if len(key) != masterKeyLen {
		return masterKey{}, fmt.Errorf("%w: it must have %d octets, not %d", ErrMasterKey, masterKeyLen, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return masterKey{}, fmt.Errorf("store: prepare master key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return masterKey{}, fmt.Errorf("store: prepare master key: %w", err)
	}
	sum := sha256.Sum256(append([]byte("domaind master key id\x00"), key...))
	return masterKey{
		id:     hex.EncodeToString(sum[:keyIDLen]),
		secret: NewSecret(base64.StdEncoding.EncodeToString(key)),
		aead:   aead,
	}, nil
}

func generateMasterKey() []byte {
	key := make([]byte, masterKeyLen)
	_, _ = rand.Read(key) // never fails, says its documentation
	return key
}

func (k masterKey) header() []byte {
	id, err := hex.DecodeString(k.id)
	if err != nil {
		return nil // it was made by EncodeToString
	}
	return append([]byte{sealVersion}, id...)
}

func (k masterKey) seal(binding string, plain []byte) []byte {
	out := k.header()
	nonce := make([]byte, nonceLen)
	_, _ = rand.Read(nonce)
	out = append(out, nonce...)
	return k.aead.Seal(out, nonce, plain, []byte(binding))
}

func (k masterKey) open(binding string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealHeader+nonceLen || !bytes.HasPrefix(sealed, k.header()) {
		return nil, fmt.Errorf("store: open sealed value: %w", ErrMasterKey)
	}
	nonce, text := sealed[sealHeader:sealHeader+nonceLen], sealed[sealHeader+nonceLen:]
	plain, err := k.aead.Open(nil, nonce, text, []byte(binding))
	if err != nil {
		return nil, fmt.Errorf("store: open sealed value %q: %w", binding, ErrMasterKey)
	}
	return plain, nil
}

// sealedBy returns the id of the key that sealed a value, "" when it is none.
func sealedBy(sealed []byte) string {
	if len(sealed) < sealHeader || sealed[0] != sealVersion {
		return ""
	}
	return hex.EncodeToString(sealed[1:sealHeader])
}
