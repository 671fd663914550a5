package dkim

import (
	"errors"
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	cases := []struct {
		text string
		want Record
		bad  bool
	}{
		{text: "p=QUJD", want: Record{Type: "rsa", P: "QUJD"}},
		{text: " v = DKIM1 ;\tk = ed25519;p=QU\r\n JD ; ", want: Record{Type: "ed25519", P: "QUJD"}},
		{text: "v=DKIM1; p=", want: Record{Type: "rsa"}},
		{text: "p=A; h=sha1 : sha256; s=email; t=y:s; n=a=b", want: Record{
			Type: "rsa", P: "A", Hashes: []string{"sha1", "sha256"}, Services: []string{"email"}, Flags: []string{"y", "s"}}},
		{text: "", bad: true},
		{text: "v=DKIM1", bad: true},
		{text: "v=DKIM1;; p=A", bad: true},
		{text: "v=dkim1; p=A", bad: true},
		{text: "p=A; v=DKIM1", bad: true},
		{text: "p=A; p=A", bad: true},
		{text: "p=A; zz", bad: true},
		{text: "p=A; 1z=1", bad: true},
		{text: `"v=DKIM1; p=A"`, bad: true},
	}
	for _, c := range cases {
		got, err := Parse(c.text)
		var se *SyntaxError
		if c.bad != errors.As(err, &se) {
			t.Errorf("%q: error %v", c.text, err)
		}
		if c.bad {
			continue
		}
		if got.Type != c.want.Type || got.P != c.want.P || !slices.Equal(got.Hashes, c.want.Hashes) ||
			!slices.Equal(got.Services, c.want.Services) || !slices.Equal(got.Flags, c.want.Flags) {
			t.Errorf("%q: %+v", c.text, got)
		}
	}
}

func TestKey(t *testing.T) {
	const raw = "VCxCNouU1b68GyTku/pmHJ+ladq2CjzJNLwEugcOpDA="
	cases := []struct {
		text string
		kind string
		want error
	}{
		{"k=ed25519; p=" + raw, TypeEd25519, nil},
		{"p=" + raw, TypeEd25519, ErrWrongType},
		{"k=ed25519; p=MCowBQYDK2VwAyEA" + raw, TypeEd25519, ErrWrongType},
		{"p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAJ2/kVXQlOjeR2cO8R/TZmg1CPEWvhyTqJ80T9GeywoWZjrncPKycH5L0VrXt3qsLqXz0lMK6uIlmUoay3HH2TsCAwEAAQ==", TypeRSA, nil},
		{"p=MEgCQQCdv5FV0JTo3kdnDvEf02ZoNQjxFr4ck6ifNE/RnssKFmY653DysnB+S9Fa17d6rC6l89JTCuriJZlKGstxx9k7AgMBAAE=", TypeRSA, ErrPKCS1},
		{"p=", "", ErrRevoked},
		{"p=A", "", ErrBase64},
		{"p=QUJD", "", ErrNoKey},
		{"k=x; p=QUJD", "", ErrWrongType},
	}
	for _, c := range cases {
		rec, err := Parse(c.text)
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		key, err := rec.Key()
		if !errors.Is(err, c.want) || key.Type() != c.kind {
			t.Errorf("%q: %q, %v; want %q, %v", c.text, key.Type(), err, c.kind, c.want)
		}
	}
	if (PublicKey{}).Equal(PublicKey{}) {
		t.Error("no key equals no key")
	}
}

func FuzzParse(f *testing.F) {
	const value = "v=DKIM1; k=ed25519; p=VCxCNouU1b68GyTku/pmHJ+ladq2CjzJNLwEugcOpDA="
	for _, s := range []string{value, value[:20], `"` + value + `"`, "sel IN TXT " + value, "p=", ";;", "v=DKIM1\\; p=A", "\xff\xfe=;", "(p=\u201c"} {
		f.Add(s, 3)
	}
	x, err := Expect(value, []string{"p=junk"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, cut int) {
		rec, err := Parse(text)
		if err == nil {
			key, keyErr := rec.Key()
			if keyErr == nil && key.Type() != rec.Type {
				t.Errorf("k=%s holds a key of type %s", rec.Type, key.Type())
			}
		}
		if cut < 0 || cut > len(text) {
			cut = 0
		}
		whole, split := x.Inspect([][]string{{text}}), x.Inspect([][]string{{text[:cut], text[cut:]}})
		if whole.Problem != split.Problem && split.Problem != ProblemReordered {
			t.Errorf("%d as one string, %d as two", whole.Problem, split.Problem)
		}
		if (whole.Problem == ProblemNone) != (x.serves(text) && rec.AllowsSHA256() && rec.AllowsEmail()) {
			t.Errorf("problem %d for %q", whole.Problem, text)
		}
		x.Inspect([][]string{{text[:cut]}, {text[cut:]}})
	})
}
