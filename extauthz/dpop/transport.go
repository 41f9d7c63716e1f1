package dpop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	maxNonce   = 1 << 10 // of a nonce that is kept, in bytes
	maxOrigins = 64      // whose nonces are kept
	maxRefusal = 8 << 10 // of an answer that may ask for a nonce, in bytes
)

// Transport sends each request with a proof of its own: for its access token where it has `Authorization: DPoP`, else for none. It keeps
// the nonce that a server gave last, and repeats a request once where the server asked for a fresh one (RFC 9449, 8 and 9).
//
// A request is repeated only if its body can be had again (http.Request.GetBody). A body that holds a client assertion, which works once, needs
// a GetBody that makes a fresh one. The caller's request is never changed. Key is required. One Transport may be used in parallel, and must
// not be copied.
type Transport struct {
	Base http.RoundTripper // nil: http.DefaultTransport
	Key  Key
	Now  func() time.Time // nil: time.Now

	mu     sync.Mutex
	nonces map[string]string // by origin (RFC 9449, 8: a nonce is good for the server that gave it)
}

var _ http.RoundTripper = (*Transport)(nil)

// RoundTrip sends the request and perhaps repeats it. An error comes from the base transport, or says that no proof could be made.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	origin := originOf(r)
	sent := t.nonce(origin)
	answer, err := t.send(r, r.Body, sent)
	if err != nil {
		return nil, err
	}
	fresh := t.keep(origin, answer)
	// A server that asks again for the nonce that it was just given would ask for ever.
	if fresh == "" || fresh == sent || !wantsNonce(answer) {
		return answer, nil
	}
	body, again := bodyAgain(r)
	if !again {
		return answer, nil
	}
	_, _ = io.CopyN(io.Discard, answer.Body, maxRefusal) // so that the connection can be used again; it may end early
	answer.Body.Close()
	if answer, err = t.send(r, body, fresh); err != nil {
		return nil, err
	}
	t.keep(origin, answer)
	return answer, nil
}

// send closes the body in each case, as a RoundTripper must.
func (t *Transport) send(r *http.Request, body io.ReadCloser, nonce string) (*http.Response, error) {
	proof, err := t.Key.Make(Proof{Method: methodOf(r), URL: originOf(r) + r.URL.EscapedPath(), AccessToken: tokenOf(r), Nonce: nonce, Now: t.now()})
	if err != nil {
		if body != nil {
			body.Close()
		}
		return nil, err
	}
	own := r.Clone(r.Context())
	if own.Body = body; own.Header == nil {
		own.Header = http.Header{}
	}
	own.Header.Set("DPoP", proof)
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	return base.RoundTrip(own)
}

func (t *Transport) now() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

func (t *Transport) nonce(origin string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nonces[origin]
}

// keep remembers the nonce of an answer, whatever its status (RFC 9449, 8.2), and returns it. Any nonce may go to make room: the server
// gives another.
func (t *Transport) keep(origin string, answer *http.Response) string {
	given := answer.Header.Values("DPoP-Nonce")
	if len(given) != 1 || !isNonce(given[0]) {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.nonces == nil {
		t.nonces = map[string]string{}
	}
	for other := range t.nonces {
		if _, known := t.nonces[origin]; known || len(t.nonces) < maxOrigins {
			break
		}
		delete(t.nonces, other)
	}
	t.nonces[origin] = given[0]
	return given[0]
}

// isNonce: RFC 9449, 8.1. A huge one would make the proof too large for any server.
func isNonce(s string) bool {
	return s != "" && len(s) <= maxNonce && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// wantsNonce tells whether a refusal says use_dpop_nonce: in its body from an authorization server (RFC 9449, 8), in a header from a
// resource (9). The body can be read afterwards as before.
func wantsNonce(answer *http.Response) bool {
	const word = "use_dpop_nonce"
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		for _, challenge := range answer.Header.Values("WWW-Authenticate") {
			if strings.Contains(challenge, `error="`+word+`"`) {
				return true
			}
		}
	case http.StatusBadRequest:
		head, err := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
		answer.Body = withHead(head, answer.Body)
		var refusal struct {
			Error string `json:"error"`
		}
		return err == nil && json.Unmarshal(head, &refusal) == nil && refusal.Error == word
	}
	return false
}

func withHead(head []byte, rest io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), rest}
}

func bodyAgain(r *http.Request) (io.ReadCloser, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	return body, err == nil
}

func methodOf(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

// originOf is the server as it will see itself.
func originOf(r *http.Request) string {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	return fmt.Sprintf("%s://%s", r.URL.Scheme, host)
}

// tokenOf is the access token that goes with a request under the scheme DPoP, which is case-insensitive (RFC 9110, 11.1).
func tokenOf(r *http.Request) string {
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	if !strings.EqualFold(scheme, "DPoP") {
		return ""
	}
	return strings.TrimSpace(token)
}
