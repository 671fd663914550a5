package server

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/inbound/parse"
)

// downloadTimeout bounds a download by a slow client, instead of writeTimeout.
const downloadTimeout = 5 * time.Minute

// maxFilename bounds what a stranger's file name may take, in octets.
const maxFilename = 200

// download is an answer with what strangers wrote. A browser saves it, and
// runs nothing of it even where it does not.
type download struct {
	body      io.ReadCloser
	size      int64
	mediaType string
	filename  string
}

var (
	_ api.GetMessageRawResponseObject        = download{}
	_ api.GetMessageAttachmentResponseObject = download{}
)

// attachmentDownload is an attachment without the type that its sender gave it.
func attachmentDownload(id string, p parse.Part) download {
	name := filename(p.Filename)
	if name == "" {
		name = id + "-" + strconv.Itoa(p.Index)
	}
	return download{
		body: io.NopCloser(bytes.NewReader(p.Content)), size: int64(len(p.Content)),
		mediaType: echo.MIMEOctetStream, filename: name,
	}
}

// VisitGetMessageRawResponse writes the answer.
func (d download) VisitGetMessageRawResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetMessageAttachmentResponse writes the answer.
func (d download) VisitGetMessageAttachmentResponse(w http.ResponseWriter) error { return d.write(w) }

// write sends the body. That the client goes away is no failure.
func (d download) write(w http.ResponseWriter) error {
	defer d.body.Close()
	h := w.Header()
	h.Set(echo.HeaderContentType, d.mediaType)
	h.Set(echo.HeaderContentLength, strconv.FormatInt(d.size, 10))
	h.Set(echo.HeaderContentDisposition, disposition(d.filename))
	h.Set(echo.HeaderContentSecurityPolicy, "sandbox; default-src 'none'; frame-ancestors 'none'")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(downloadTimeout)) // else the shorter one stands
	w.WriteHeader(http.StatusOK)
	body := &source{Reader: d.body}
	_, _ = io.Copy(w, body)
	return body.err
}

// source keeps apart that reading failed from that writing did.
type source struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // exactly this
		s.err = err
	}
	return n, err
}

// disposition says that the body is to be saved (RFC 6266).
func disposition(filename string) string {
	if v := mime.FormatMediaType("attachment", map[string]string{"filename": filename}); v != "" {
		return v
	}
	return "attachment"
}

// filename makes a name to save under of what a sender wrote: its last part,
// without what is not to be seen, and no name that hides the file.
func filename(sent string) string {
	sent = sent[strings.LastIndexAny(sent, `/\`)+1:]
	sent = strings.Map(func(r rune) rune {
		if unprintable(r) && !unicode.Is(unicode.Zs, r) || strings.ContainsRune(`<>:"|?*`, r) {
			return -1
		}
		return r
	}, sent)
	return parse.Cut(strings.Trim(sent, ". "), maxFilename)
}
