package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/gen/api"
)

// infoAnswer is the answer of the call that is made most. The generated one
// grows a new buffer for each answer, and leaves its length open.
type infoAnswer api.DomainDetails

var _ api.GetDomainResponseObject = infoAnswer{}

// VisitGetDomainResponse writes the answer.
func (a infoAnswer) VisitGetDomainResponse(w http.ResponseWriter) error {
	b, _ := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if err := json.NewEncoder(b).Encode(a); err != nil {
		return fmt.Errorf("write domain: %w", err)
	}
	h := w.Header()
	h[echo.HeaderContentType] = jsonType
	h[echo.HeaderContentLength] = []string{strconv.Itoa(b.Len())}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(b.Bytes())
	return err
}

// jsonType is shared by all answers and never changed.
var jsonType = []string{echo.MIMEApplicationJSON}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
