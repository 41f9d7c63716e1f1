package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
)

// scenario is one kind of request.
type scenario struct {
	name, what string
	product    string // the first label of the host
	path       string
	navigation bool // else a fetch
	cookie     bool // whether it carries a session cookie
	fresh      bool // whether each check needs a session that has not been checked before
	status     int  // that ours answers; 200 for a pass
}

const (
	living = "living session"
	forged = "forged cookie"
	first  = "first check of a session"
)

// scenarios are the kinds of requests that are measured, in the order of the report.
var scenarios = []scenario{
	{name: living, what: "a fetch with the cookie of a session whose token is in the cache: passes", product: "issues", path: "/rest/api/issue/ACME-1?fields=summary", cookie: true, status: 200},
	{name: forged, what: "a fetch with a well-formed random cookie, another one each time: 401", product: "issues", path: "/rest/api/issue/ACME-1?fields=summary", cookie: true, status: 401},
	{name: "no session, fetch", what: "a fetch without our cookie: 401", product: "issues", path: "/rest/api/issue/ACME-1?fields=summary", status: 401},
	{name: "no session, navigation", what: "a navigation without our cookie: 302 to sign-in with a sealed flow", product: "issues", path: "/browse/ACME-1", navigation: true, status: 302},
	{name: first, what: "a fetch with the cookie of a session that was not checked before: a token is signed, passes", product: "wiki", path: "/page/start", cookie: true, fresh: true, status: 200},
	{name: "anonymous", what: "a fetch without our cookie of an endpoint on the anonymous allowlist: passes", product: "issues", path: "/health", status: 200},
}

// placeholder stands where the session cookie's value will: every handle is as long as this one, so lengths inside the recorded message hold.
var placeholder = base64.RawURLEncoding.EncodeToString(make([]byte, 32))

// randomHandle has the form of a handle and is none.
func randomHandle() string {
	raw := make([]byte, 32)
	rand.Read(raw) // it never returns an error: without randomness the process ends
	return base64.RawURLEncoding.EncodeToString(raw)
}

// with is the question with another session cookie.
func (q question) with(handle string) []byte {
	return bytes.Replace(q.message, []byte(placeholder), []byte(handle), 1)
}

// request is what a browser sends over HTTP/1.1: the headers that Chromium has for such a request, and cookies of the product's own.
func (s scenario) request(authority, handle string) []byte {
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
	if s.cookie {
		cookie += "; __Host-isogate_session=" + handle
	}
	lines = append(lines, "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-GB,en;q=0.9,de;q=0.8", "Priority: u=1, i", "Cookie: "+cookie)
	return fmt.Appendf(nil, "%s\r\n\r\n", strings.Join(lines, "\r\n"))
}
