package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// slowServer is the http.Server of a harness with its timeouts a fiftieth of
// what they are.
func slowServer(t *testing.T) (addr string) {
	t.Helper()
	web := start(t).srv.HTTPServer()
	for _, d := range []*time.Duration{&web.ReadHeaderTimeout, &web.ReadTimeout, &web.WriteTimeout, &web.IdleTimeout} {
		if *d <= 0 || *d > time.Minute {
			t.Fatalf("a timeout is %s", *d)
		}
		*d /= 50
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(l) }()
	t.Cleanup(func() {
		_ = web.Close()
		<-ended
	})
	return l.Addr().String()
}

// TestSlowClients sends the beginning of requests and no more: each connection
// is ended, with an answer that blames the client or with none.
func TestSlowClients(t *testing.T) {
	addr := slowServer(t)
	const post = "POST /v2/domain HTTP/1.1\r\nHost: a\r\nX-Api-Key: " + adminKey + "\r\nContent-Type: application/json\r\n"
	for name, sent := range map[string]string{
		"nothing":     "",
		"no end line": "GET /livez HTTP/1.1\r\nHost: a\r\nX-Slow: ",
		"no body":     post + "Content-Length: 100\r\n\r\n",
		"half a body": post + "Content-Length: 100\r\n\r\n{\"domain\":",
		"open chunk":  post + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"do",
		"idle":        "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", addr)
			ok(t, err)
			defer conn.Close()
			ok(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
			_, err = io.WriteString(conn, sent)
			ok(t, err)
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			switch {
			case err != nil && isTimeout(err):
				t.Fatal("the connection stays open")
			case err != nil: // ended without an answer
				return
			case name == "idle" && resp.StatusCode == http.StatusOK:
			case resp.StatusCode/100 != 4 || name == "idle":
				t.Errorf("status %d", resp.StatusCode)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
			if rest, err := io.ReadAll(in); isTimeout(err) {
				t.Errorf("the connection stays open: %q", rest)
			}
		})
	}
}

// TestSlowReader asks on and on and reads nothing: the server gives up.
func TestSlowReader(t *testing.T) {
	addr := slowServer(t)
	conn, err := net.Dial("tcp", addr)
	ok(t, err)
	defer conn.Close()
	ok(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	ask := strings.Repeat("GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", 100)
	for {
		if _, err := io.WriteString(conn, ask); err != nil {
			if isTimeout(err) {
				t.Error("the connection stays open")
			}
			return
		}
	}
}

func isTimeout(err error) bool {
	t, is := err.(net.Error) //nolint:errorlint // as it comes from the connection
	return is && t.Timeout()
}
