package service

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// The headers by which a service calls a product of the isolated cloud that it was given a person of. The token is sealed: the service's own
// sidecar alone can open it.
const (
	TokenHeader   = "X-Isolated-Cloud-Token"
	ProductHeader = "X-Isolated-Cloud-Product"
)

const (
	issuePath    = "/issue/"
	issueProduct = "issues" // id of the product that has them
	askTimeout   = 5 * time.Second
	maxAnswer    = 64 << 10 // bytes of a product's answer that are read
)

// issueKey is what keys look like. Another one is asked for nowhere.
var issueKey = regexp.MustCompile(`^[A-Z]{1,10}-[0-9]{1,9}$`)

// caller calls through the sidecar, and remembers what comes back. It follows no redirect: whoever sent one would choose where the token goes.
func (s *Service) caller() *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return tappedConn{conn, &s.Record}, nil
	}
	return &http.Client{
		Timeout:       askTimeout,
		Transport:     &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// issue is what the page shows of one.
type issue struct {
	Key    string
	Fields struct{ Summary, Status, Priority, Team, Updated string }
}

// refusal is why there is no issue.
type refusal struct {
	Status int    // that the service answers with
	Title  string // for people
	Detail string
	Reason string // the word of the problem that came, "" where none came
}

func (s *Service) serveIssue(w http.ResponseWriter, r *http.Request) {
	key, cloud := strings.TrimPrefix(r.URL.Path, issuePath), r.Header.Get(CloudHeader)
	shown := map[string]any{"Service": s.name, "Cloud": cloud, "Key": key}
	found, refused := s.ask(r.Context(), key, r.Header)
	shown["Issue"] = found
	if refused != nil {
		shown["Refused"] = refused
		show(w, refused.Status, "issue.html", shown)
		return
	}
	show(w, http.StatusOK, "issue.html", shown)
}

// ask fetches an issue from the isolated cloud that the request is of, through the service's sidecar.
func (s *Service) ask(ctx context.Context, key string, given http.Header) (*issue, *refusal) {
	if !issueKey.MatchString(key) {
		return nil, noSuchIssue()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.sidecar+"/rest/api/issue/"+key+"?fields=summary", nil)
	if err != nil {
		return nil, refusedBy("")
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set(CloudHeader, given.Get(CloudHeader))
	request.Header.Set(TokenHeader, given.Get(TokenHeader))
	request.Header.Set(ProductHeader, issueProduct)
	answer, err := s.calls.Do(request)
	if err != nil {
		return nil, refusedBy("")
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, refusedBy("")
	}
	return read(answer, body)
}

// read takes an answer for what it is: an issue, no such issue, or a problem of the sidecar or the gateway (RFC 9457).
func read(answer *http.Response, body []byte) (*issue, *refusal) {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	var problem struct{ Reason string }
	var found issue
	switch {
	case answer.StatusCode == http.StatusOK && json.Unmarshal(body, &found) == nil && found.Key != "":
		return &found, nil
	case kind == "application/problem+json" && json.Unmarshal(body, &problem) == nil:
		return nil, refusedBy(problem.Reason)
	case answer.StatusCode == http.StatusNotFound:
		return nil, noSuchIssue()
	}
	return nil, refusedBy("")
}

func noSuchIssue() *refusal {
	return &refusal{Status: http.StatusNotFound, Title: "No such issue", Detail: "The organisation’s issue tracker has no issue of this key."}
}

// refusedBy tells people what a reason means for them.
func refusedBy(reason string) *refusal {
	switch reason {
	case "session-ended":
		return &refusal{http.StatusForbidden, "Your session in the isolated cloud has ended", "You were signed out there, or its time is over. Sign in again.", reason}
	case "token", "proof":
		return &refusal{http.StatusForbidden, "Your session does not open the isolated cloud", "Load the page again; if that does not help, sign in again.", reason}
	case "not-exposed", "policy", "caller", "cloud":
		return &refusal{http.StatusForbidden, "Not exposed", "The isolated cloud does not expose this to the service.", reason}
	case "rate":
		return &refusal{http.StatusServiceUnavailable, "Too many calls at once", "The isolated cloud takes no more of them right now. Load the page again in a moment.", reason}
	}
	return &refusal{http.StatusServiceUnavailable, "Not available right now", "The isolated cloud gives no answer. Load the page again in a moment.", reason}
}

// Seen is the issue's last change as people write it, in UTC.
func (i issue) Seen() string {
	at, err := time.Parse(time.RFC3339, i.Fields.Updated)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s UTC", at.UTC().Format("2 January 2006, 15:04"))
}
