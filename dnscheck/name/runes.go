package name

import "unicode"

// ranges16 and ranges32 spell a table of code points.
func ranges(r16 []unicode.Range16, r32 ...unicode.Range32) *unicode.RangeTable {
	return &unicode.RangeTable{R16: r16, R32: r32}
}

var (
	// exceptionsValid are PVALID by RFC 5892 section 2.6, against their
	// category or their mapping.
	exceptionsValid = ranges([]unicode.Range16{
		{Lo: 0x00DF, Hi: 0x00DF, Stride: 1}, // ß
		{Lo: 0x03C2, Hi: 0x03C2, Stride: 1}, // ς
		{Lo: 0x06FD, Hi: 0x06FE, Stride: 1},
		{Lo: 0x0F0B, Hi: 0x0F0B, Stride: 1},
		{Lo: 0x3007, Hi: 0x3007, Stride: 1}, // 〇
	})
	// contextual need a context: joiners (checked by x/net/idna) and those of
	// checkContext. RFC 5892 section 2.6 and appendix A.
	contextual = ranges([]unicode.Range16{
		{Lo: 0x00B7, Hi: 0x00B7, Stride: 1},
		{Lo: 0x0375, Hi: 0x0375, Stride: 1},
		{Lo: 0x05F3, Hi: 0x05F4, Stride: 1},
		{Lo: 0x0660, Hi: 0x0669, Stride: 1},
		{Lo: 0x06F0, Hi: 0x06F9, Stride: 1},
		{Lo: 0x200C, Hi: 0x200D, Stride: 1},
		{Lo: 0x30FB, Hi: 0x30FB, Stride: 1},
	})
	// refused are letters, digits or marks by category and DISALLOWED all the
	// same: exceptions (2.6), ignorable blocks (2.4), old Hangul Jamo (2.9).
	refused = ranges([]unicode.Range16{
		{Lo: 0x0640, Hi: 0x0640, Stride: 1},
		{Lo: 0x07FA, Hi: 0x07FA, Stride: 1},
		{Lo: 0x1100, Hi: 0x11FF, Stride: 1},
		{Lo: 0x20D0, Hi: 0x20FF, Stride: 1},
		{Lo: 0x302E, Hi: 0x302F, Stride: 1},
		{Lo: 0x3031, Hi: 0x3035, Stride: 1},
		{Lo: 0x303B, Hi: 0x303B, Stride: 1},
		{Lo: 0xA960, Hi: 0xA97F, Stride: 1},
		{Lo: 0xD7B0, Hi: 0xD7FF, Stride: 1},
	}, unicode.Range32{Lo: 0x1D100, Hi: 0x1D24F, Stride: 1})
)

// allowedRune reports whether IDNA2008 allows r in a label, alone or in the
// right context: the derived property of RFC 5892 section 3, but for
// stability under mapping, which the caller tests on the whole label.
// x/net/idna has no such test: to it, an emoji is a valid letter.
func allowedRune(r rune) bool {
	switch {
	case r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z':
		return true
	case unicode.In(r, exceptionsValid, contextual):
		return true
	case unicode.In(r, refused, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return false
	}
	return unicode.In(r, unicode.Ll, unicode.Lu, unicode.Lo, unicode.Lm, unicode.Nd, unicode.Mn, unicode.Mc)
}

// checkContext applies the CONTEXTO rules of RFC 5892 appendix A.3 to A.9,
// which x/net/idna leaves out.
func checkContext(label []rune) *Error {
	for i, r := range label {
		if r >= 0x80 && unicode.Is(contextual, r) && !inContext(label, i) {
			return refuse(CodeIDNDisallowed, "U+%04X is out of place here (RFC 5892 appendix A)", r)
		}
	}
	return nil
}

// inContext reports whether the contextual character at i may stand there.
func inContext(label []rune, i int) bool {
	switch r := label[i]; r {
	case 0x00B7: // the Catalan middle dot stands between two l
		return i > 0 && i+1 < len(label) && label[i-1] == 'l' && label[i+1] == 'l'
	case 0x0375:
		return i+1 < len(label) && unicode.Is(unicode.Greek, label[i+1])
	case 0x05F3, 0x05F4:
		return i > 0 && unicode.Is(unicode.Hebrew, label[i-1])
	case 0x30FB:
		return containsRune(label, func(r rune) bool {
			return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han)
		})
	case 0x200C, 0x200D:
		return true // x/net/idna has the joining types
	default: // two sets of Arabic digits that look alike do not mix
		arabic := 0x0660 <= r && r <= 0x0669
		return !containsRune(label, func(o rune) bool {
			return arabic && 0x06F0 <= o && o <= 0x06F9 || !arabic && 0x0660 <= o && o <= 0x0669
		})
	}
}

func containsRune(label []rune, f func(rune) bool) bool {
	for _, r := range label {
		if f(r) {
			return true
		}
	}
	return false
}
