package parse

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"strings"
	"time"

	"github.com/jhillyerd/enmime/v2"
)

// ErrNoAttachment: the message has no attachment of that index.
var ErrNoAttachment = errors.New("no such attachment")

// Address is one address of a header field.
type Address struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// Part is an attachment, or anything else that is not the text: inline
// pictures, and other parts.
type Part struct {
	Index       int // from 0, the same in every parse of the message
	Filename    string
	ContentType string
	ContentID   string
	Content     []byte // decoded
}

// Message is a parsed message.
type Message struct {
	Header     Header
	From       []Address
	To         []Address
	Cc         []Address
	ReplyTo    []Address
	Subject    string
	Date       time.Time // zero: none that can be read
	MessageID  string    // without angle brackets
	InReplyTo  string
	References []string
	Text       string
	HTML       string
	Parts      []Part
}

// Parse reads a message. The error says that it has no form that can be read,
// and the message is to be taken as it is.
func Parse(raw []byte) (m Message, err error) {
	defer func() {
		if p := recover(); p != nil { // a message must never stop its delivery
			err = fmt.Errorf("parse message: panic: %v", p)
		}
	}()
	m.Header = ReadHeader(raw)
	if len(m.Header) == 0 {
		return m, errors.New("parse message: no header section")
	}
	if TooLarge(raw) {
		return m, errors.New("parse message: the header section is too large")
	}
	if tooDeep(raw) {
		return m, errors.New("parse message: multiparts are nested too deep, or too many")
	}
	env, err := parser().ReadEnvelope(&patient{r: bytes.NewReader(raw), end: time.Now().Add(maxParse)})
	if err != nil {
		return m, fmt.Errorf("parse message: %w", err)
	}
	m.addHeader()
	m.HTML = clean(env.HTML)
	texts := []string{clean(env.Text)}
	for _, list := range [][]*enmime.Part{env.Attachments, env.Inlines, env.OtherParts} {
		for _, p := range list {
			if isText(p) {
				texts = append(texts, clean(string(p.Content)))
			} else {
				m.addPart(p)
			}
		}
	}
	m.Text = strings.Join(texts, "")
	return m, nil
}

// isText reports whether a part is text that the library leaves aside: one
// without a Content-Type (RFC 2045 section 5.2), unless it says that it is an
// attachment.
func isText(p *enmime.Part) bool {
	return p.ContentType == "" && p.Header.Get("Content-Disposition") == ""
}

// addPart adds what is not the text.
func (m *Message) addPart(p *enmime.Part) {
	media, file := p.ContentType, p.FileName
	if media == "" {
		_, params, _, _ := mediaType(p.Header.Get("Content-Disposition"))
		media, file = "application/octet-stream", or(file, params["filename"])
	}
	m.Parts = append(m.Parts, Part{
		Index: len(m.Parts), Filename: Printable(file, 1024), ContentType: Printable(media, 256),
		ContentID: Printable(p.ContentID, 1024), Content: p.Content,
	})
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// maxEnds is how often a parser may ask for more behind the end. The library
// asks twice as often for each level of multiparts that are not closed: some
// thirty of them, a few hundred octets, would keep it busy for hours.
const maxEnds = 20_000

// maxParse bounds a parse in time, many times what the largest mail takes:
// parsers have more ways to be slow than anybody knows.
const maxParse = 10 * time.Second

// patient ends a parse that has lost its way, by a panic that Parse recovers.
type patient struct {
	r    *bytes.Reader
	ends int
	end  time.Time
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	if time.Now().After(p.end) {
		panic("too slow")
	}
	n, err := p.r.Read(b)
	if err != nil {
		if p.ends++; p.ends > maxEnds {
			panic("too many unclosed parts")
		}
	}
	return n, err
}

// clean makes text valid UTF-8; a NUL is nothing that JSON readers like.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func parser() *enmime.Parser {
	return enmime.NewParser(
		enmime.SkipMalformedParts(true),
		enmime.MultipartWOBoundaryAsSinglePart(true),
		enmime.DisableTextConversion(true),
		enmime.SetReadPartErrorPolicy(enmime.AllowCorruptTextPartErrorPolicy),
		enmime.SetCustomParseMediaType(mediaType),
	)
}

// mediaType reads a Content-Type or Content-Disposition. Where the standard
// rules fail, it takes what can be taken: a wrong parameter of one part must not
// cost the whole message.
func mediaType(value string) (string, map[string]string, []string, error) {
	media, params, err := mime.ParseMediaType(value)
	if err == nil && media != "" {
		return media, params, nil, nil
	}
	pieces := strings.Split(value, ";")
	media = strings.ToLower(strings.TrimSpace(pieces[0]))
	params = map[string]string{}
	var bad []string
	for _, piece := range pieces[1:] {
		k, v, ok := strings.Cut(piece, "=")
		k = strings.ToLower(strings.TrimSpace(k))
		if !ok || k == "" {
			bad = append(bad, piece)
			continue
		}
		params[k] = strings.Trim(strings.TrimSpace(v), `"`)
	}
	if media == "" || strings.ContainsAny(media, " \t") {
		media = "application/octet-stream"
	}
	return media, params, bad, nil
}

func (m *Message) addHeader() {
	h := m.Header
	m.From, m.To = addresses(h, "From"), addresses(h, "To")
	m.Cc, m.ReplyTo = addresses(h, "Cc"), addresses(h, "Reply-To")
	m.Subject = h.Decoded("Subject", 4096)
	m.MessageID = messageID(h.Get("Message-Id"))
	m.InReplyTo = messageID(h.Get("In-Reply-To"))
	for _, id := range strings.Fields(h.Get("References")) {
		if id = messageID(id); id != "" && len(m.References) < 100 {
			m.References = append(m.References, id)
		}
	}
	if t, err := mail.ParseDate(h.Get("Date")); err == nil {
		m.Date = t
	}
}

func messageID(s string) string {
	if i := strings.IndexByte(s, '<'); i >= 0 {
		s = s[i+1:]
	}
	s, _, _ = strings.Cut(s, ">")
	return Printable(strings.TrimSpace(s), 998)
}

// maxAddresses bounds what one field brings into a payload.
const maxAddresses = 500

func addresses(h Header, name string) []Address {
	list := []Address{}
	for _, v := range h.All(name) {
		parsed, err := enmime.ParseAddressList(v)
		if err != nil {
			list = append(list, Address{Address: Printable(v, 998)}) // as it stands: better than nothing
			continue
		}
		for _, a := range parsed {
			list = append(list, Address{Name: Printable(a.Name, 998), Address: Printable(a.Address, 998)})
		}
	}
	return list[:min(len(list), maxAddresses)]
}

// FromDomain returns the domain of the only author address, in lower case, or
// "" when there is none or more than one domain (RFC 9989 section 5.3.1).
func (h Header) FromDomain() string {
	if h.Count("From") != 1 {
		return ""
	}
	domain := ""
	for _, a := range addresses(h, "From") {
		i := strings.LastIndexByte(a.Address, '@')
		if i < 0 {
			return ""
		}
		d := strings.ToLower(strings.TrimSuffix(a.Address[i+1:], "."))
		if domain != "" && d != domain {
			return ""
		}
		domain = d
	}
	return domain
}

// Attachment returns one part of a message by its index. ErrNoAttachment when
// there is none, or the message cannot be parsed.
func Attachment(raw []byte, index int) (Part, error) {
	m, err := Parse(raw)
	if err != nil || index < 0 || index >= len(m.Parts) {
		return Part{}, ErrNoAttachment
	}
	return m.Parts[index], nil
}
