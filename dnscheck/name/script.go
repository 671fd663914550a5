package name

import (
	"strings"
	"unicode"
)

// lookalike are the alphabets whose letters pass for those of another. No
// honest label mixes two of them.
var lookalike = []*unicode.RangeTable{
	unicode.Latin, unicode.Greek, unicode.Cyrillic,
	unicode.Armenian, unicode.Cherokee, unicode.Coptic, unicode.Lisu,
}

// checkScripts refuses a label that mixes two of the look-alike alphabets.
func checkScripts(u string) *Error {
	var seen *unicode.RangeTable
	for _, r := range u {
		for _, script := range lookalike {
			if !unicode.Is(script, r) {
				continue
			}
			if seen != nil && seen != script {
				return refuse(CodeMixedScript, "a label mixes letters of two alphabets that look alike")
			}
			seen = script
		}
	}
	return nil
}

// wholeScript lists, for each alphabet, the letters that can be taken for
// Latin ones. A label of nothing else can spell a Latin word (after the lists
// of Chromium's IDN display policy).
var wholeScript = []struct {
	script  *unicode.RangeTable
	letters string
}{
	{unicode.Cyrillic, "аысԁеԍһіюјӏорԗԛѕԝхуъьҽпгѵѡ"},
	{unicode.Greek, "αικνρυωηοτγεϲϳβχ"},
	{unicode.Armenian, "ագզէլհյնոսւօ"},
}

// oddLetters pass for plain Latin ones: the dotless i, clicks, phonetic
// letters, the later extension blocks, and Cherokee.
var oddLetters = ranges([]unicode.Range16{
	{Lo: 0x0131, Hi: 0x0131, Stride: 1},
	{Lo: 0x01C0, Hi: 0x01C3, Stride: 1},
	{Lo: 0x0250, Hi: 0x02FF, Stride: 1},
	{Lo: 0x13A0, Hi: 0x13FF, Stride: 1},
	{Lo: 0x1D00, Hi: 0x1DBF, Stride: 1},
	{Lo: 0x2C60, Hi: 0x2C7F, Stride: 1},
	{Lo: 0xA720, Hi: 0xA7FF, Stride: 1},
	{Lo: 0xAB30, Hi: 0xAB6F, Stride: 1},
})

// showable reports whether the U-labels can be shown without being taken for
// other names. When not, people see the A-labels, which nobody confuses.
func showable(ulabels []string) bool {
	top := ulabels[len(ulabels)-1]
	for _, u := range ulabels {
		if isASCII(u) {
			continue
		}
		if strings.IndexFunc(u, odd) >= 0 || looseMark(u) || spellsLatin(u, top) {
			return false
		}
	}
	return true
}

func odd(r rune) bool {
	return unicode.Is(oddLetters, r) || unicode.Is(unicode.Join_Control, r)
}

// looseMark reports a combining mark on a letter of a look-alike alphabet
// that has no composed form: no common name needs it, and it is easy to miss.
func looseMark(u string) bool {
	base := false
	for _, r := range u {
		if unicode.Is(unicode.Mn, r) {
			if base {
				return true
			}
			continue
		}
		base = unicode.In(r, lookalike...)
	}
	return false
}

// spellsLatin reports a label whose letters all pass for Latin ones while its
// top-level domain is not of their alphabet.
func spellsLatin(u, top string) bool {
	for _, w := range wholeScript {
		inTop := strings.IndexFunc(top, func(r rune) bool { return unicode.Is(w.script, r) }) >= 0
		if inTop {
			continue
		}
		found := false
		other := strings.IndexFunc(u, func(r rune) bool {
			found = found || unicode.Is(w.script, r)
			return unicode.IsLetter(r) && !strings.ContainsRune(w.letters, r)
		}) >= 0
		if found && !other {
			return true
		}
	}
	return false
}
