package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"isogate/extauthz/session"
)

// scenario is one kind of request.
type scenario struct {
	name, what string
	outside    bool   // at a service of the commercial side, else at a product of the isolated cloud
	backend    string // the first label of the host
	path       string
	navigation bool                         // else a fetch
	cookie     func(s *stage, i int) string // value of the session cookie in the i-th check, always of one length; nil for none
	fresh      bool                         // whether each check needs a session that has not been checked before
	status     int                          // that ours answers; 200 for a pass
}

const (
	living = "living session"
	forged = "forged cookie"
	first  = "first check of a session"
)

// What is asked for at the issue tracker and at the Support Centre.
const (
	issue  = "/rest/api/issue/ACME-1?fields=summary"
	ticket = "/rest/servicedesk/request/17?expand=status"
)

// scenarios are the kinds of requests that are measured, in the order of the report.
var scenarios = []scenario{
	{name: living, what: "a fetch with the cookie of a session whose token is in the cache: passes", backend: "issues", path: issue, cookie: (*stage).session, status: 200},
	{name: forged, what: "a fetch with a well-formed random cookie, another one each time: 401", backend: "issues", path: issue, cookie: (*stage).forged, status: 401},
	{name: "no session, fetch", what: "a fetch without our cookie: 401", backend: "issues", path: issue, status: 401},
	{name: "no session, navigation", what: "a navigation without our cookie: 302 to sign-in with a sealed flow", backend: "issues", path: "/browse/ACME-1", navigation: true, status: 302},
	{name: first, what: "a fetch with the cookie of a session that was not checked before: a token is signed, passes", backend: "wiki", path: "/page/start", cookie: (*stage).unchecked, fresh: true, status: 200},
	{name: "anonymous", what: "a fetch without our cookie of an endpoint on the anonymous allowlist: passes", backend: "issues", path: "/health", status: 200},
	{name: "outside: living session", what: "a fetch with a sealed session about which its isolated cloud need not be asked yet: passes", outside: true, backend: "support", path: ticket, cookie: (*stage).sealed, status: 200},
	{name: "outside: forged cookie", what: "a fetch with random bytes in the form of a sealed session, others each time: 401", outside: true, backend: "support", path: ticket, cookie: (*stage).forgedSealed, status: 401},
	{name: "outside: altered cookie", what: "a fetch with a sealed session whose second half is random, another one each time: its key is known, and all of it is read, 401", outside: true, backend: "support", path: ticket, cookie: (*stage).alteredSealed, status: 401},
	{name: "outside: no session, fetch", what: "a fetch without our cookie: 401", outside: true, backend: "support", path: ticket, status: 401},
	{name: "outside: no session, navigation", what: "a navigation without our cookie: 302 to the identity host with a sealed flow", outside: true, backend: "support", path: "/portal/1", navigation: true, status: 302},
}

func (s *stage) session(i int) string   { return s.sessions[i%len(s.sessions)] }
func (s *stage) unchecked(i int) string { return s.fresh[i%len(s.fresh)] }
func (s *stage) sealed(i int) string    { return s.outsiders[i%len(s.outsiders)] }

// forged has the form of a handle and is none.
func (s *stage) forged(int) string { return randomText(len(s.sessions[0])) }

// forgedSealed has the form of a sealed session and is none.
func (s *stage) forgedSealed(int) string { return randomText(len(s.outsiders[0])) }

// alteredSealed begins as a sealed session does, so the bytes that name its key are there: it is refused only once all of it was read.
func (s *stage) alteredSealed(i int) string {
	whole := s.sealed(i)
	half := len(whole) / 8 * 4 // characters of base64 stand for whole bytes by fours
	return whole[:half] + randomText(len(whole)-half)
}

// randomText is as many random bytes as base64url writes in that many characters.
func randomText(characters int) string {
	raw := make([]byte, base64.RawURLEncoding.DecodedLen(characters))
	rand.Read(raw) // it never returns an error: without randomness the process ends
	return base64.RawURLEncoding.EncodeToString(raw)
}

// blank stands where the session cookie's value will, and is as long, so that lengths inside the recorded message hold.
func (s *stage) blank(kind scenario) string {
	if kind.cookie == nil {
		return ""
	}
	return strings.Repeat("A", len(kind.cookie(s, 0)))
}

// with is the question with another session cookie.
func (q question) with(value string) []byte { return filled(q.message, 'A', value) }

// filled puts a value into a blank of this letter, which must be as long.
func filled(message []byte, letter byte, value string) []byte {
	return bytes.Replace(message, bytes.Repeat([]byte{letter}, len(value)), []byte(value), 1)
}

// request is what a browser sends over HTTP/1.1: the headers that Chromium has for such a request, and cookies of the product's own.
func (s scenario) request(authority, value string) []byte {
	lines := []string{
		"GET " + s.path + " HTTP/1.1", "Host: " + authority, "Connection: keep-alive",
		`sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"`, "sec-ch-ua-mobile: ?0", `sec-ch-ua-platform: "Linux"`,
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	}
	if s.navigation {
		lines = append(lines, "Upgrade-Insecure-Requests: 1", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
			"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1", "Sec-Fetch-Dest: document")
	} else {
		lines = append(lines, "Accept: application/json", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty",
			"Referer: https://"+authority+"/browse/ACME-1")
	}
	cookie := "theme=dark; locale=en-GB; atl.xsrf.token=" + strings.Repeat("b3", 20)
	switch {
	case s.cookie == nil:
	case s.outside:
		cookie += "; " + session.OutsideCookie + "=" + value
	default:
		cookie += "; " + session.SessionCookie + "=" + value
	}
	lines = append(lines, "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-GB,en;q=0.9,de;q=0.8", "Priority: u=1, i", "Cookie: "+cookie)
	return fmt.Appendf(nil, "%s\r\n\r\n", strings.Join(lines, "\r\n"))
}
