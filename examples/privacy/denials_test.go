package privacy

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/examples/world"
)

// callback signs somebody in inside, up to the cloud's answer, and gives its address unvisited.
func (s *stage) callback(t *testing.T, b *world.Browser, p person) *url.URL {
	t.Helper()
	page := must(t)(b.Press(s.lookup(t, b, p.Email), toAcme, nil))
	page = must(t)(b.Authenticate(p.User, page))
	for page = post(t, b, page, goOn); page.Leads() != ""; page = must(t)(b.Step(page.Leads())) {
		if strings.HasPrefix(page.Leads(), s.at("id", "/.isogate/federated/callback?")) {
			return parsed(t, page.Leads())
		}
	}
	t.Fatalf("the cloud leads nowhere: %d at %s", page.Status, page.URL)
	return nil
}

// walkAnswers changes what a cloud answers, as an attacker would.
func (s *stage) walkAnswers(t *testing.T) {
	b := s.Browser()
	callback, open := s.callback(t, b, s.people[0]), s.opener(t)
	state := callback.Query().Get("state")
	other := s.callback(t, s.Browser(), s.people[1]).Query()
	for what, change := range map[string]url.Values{
		"no state":            {"state": nil},
		"a forged state":      {"state": {"A" + state[1:]}},
		"another's state":     {"state": other["state"]},
		"an address as state": {"state": {s.stray.at("state")}},
		"an expired state":    {"state": {open.aged(t, "outside state", s.file.Platform.IdentityHost, state)}},
		"another issuer":      {"iss": {"https://" + s.stray.at("iss")}},
		"no issuer":           {"iss": nil},
		"another code":        {"code": other["code"]}, "an address as code": {"code": {s.stray.at("code")}}, "no code": {"code": nil},
		"an error":              {"code": nil, "error": {"server_error"}, "error_description": {s.stray.at("description")}},
		"an error of one's own": {"code": nil, "error": {s.stray.at("error")}},
	} {
		query := callback.Query()
		for name, values := range change {
			query[name] = values
		}
		changed := *callback
		changed.RawQuery = query.Encode()
		same := s.Browser()
		for name, value := range b.Cookies(s.at("id", "/")) {
			same.SetCookie(s.at("id", "/"), name, value)
		}
		if a := must(t)(same.Step(changed.String())); a.Status < 400 || strings.Contains(a.Body, "zqpuffin") {
			t.Errorf("%s: %d\n%.300s", what, a.Status, a.Body)
		}
	}
	want(t, "in another browser", must(t)(s.Browser().Step(callback.String())), 400)
	if a := must(t)(b.Step(callback.String())); a.Status >= 500 { // the code of the attempts above is dead
		t.Errorf("in the right browser: %d", a.Status)
	}
}

// walkTickets changes what brings a session from the identity host to a service.
func (s *stage) walkTickets(t *testing.T) {
	b, open := s.member(t, s.people[0]), s.opener(t)
	page := must(t)(b.Step(s.at("market", "/?note="+s.stray.at("target"))))
	flow := parsed(t, page.Leads()).Query().Get("flow")
	enter := parsed(t, must(t)(b.Step(page.Leads())).Leads())
	ticket, host := enter.Query().Get("ticket"), enter.Hostname()
	for what, value := range map[string]string{
		"none":       "",
		"forged":     "A" + ticket[1:],
		"a flow":     flow,
		"an address": s.stray.at("ticket"),
		"expired":    open.aged(t, "outside ticket", host, ticket),
		"huge":       strings.Repeat("A", 20_000),
	} {
		changed := *enter
		changed.RawQuery = url.Values{"ticket": {value}}.Encode()
		if a := must(t)(b.Open(changed.String())); a.Status < 400 {
			t.Errorf("a ticket, %s: %d", what, a.Status)
		}
	}
	want(t, "a ticket in another browser", must(t)(s.Browser().Open(enter.String())), 400)
	want(t, "a ticket at another host", must(t)(b.Open(strings.Replace(enter.String(), "//market.", "//support.", 1))), 400)
	for what, value := range map[string]string{"forged": "A" + flow[1:], "an address": s.stray.at("flow"), "expired": open.aged(t, "flow", s.file.Platform.IdentityHost, flow)} {
		want(t, "a flow, "+what, must(t)(s.Browser().Step(s.at("id", "/.isogate/signin?flow="+url.QueryEscape(value)))), 400)
	}
}

// walkCookies sends sessions that are none.
func (s *stage) walkCookies(t *testing.T) {
	b, open := s.member(t, s.people[1]), s.opener(t)
	value := b.Cookies(s.at("support", "/"))[sealed]
	o, err := open.sessions.Open("support.commercial.localhost", value)
	if err != nil {
		t.Fatal(err)
	}
	o.Start, o.Ends = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	expired, err := open.sessions.Seal("support.commercial.localhost", o)
	if err != nil {
		t.Fatal(err)
	}
	for what, planted := range map[string]string{
		"forged":         "A" + value[1:],
		"cut":            value[:40],
		"expired":        expired,
		"another host's": b.Cookies(s.at("id", "/"))[sealed],
		"an address":     s.stray.at("session"),
		"too long":       strings.Repeat("A", 5000),
	} {
		holder := s.holder("support", sealed, planted)
		for kind, as := range map[string]map[string]string{"fetch": world.Fetch, "navigation": world.Navigation} {
			a := must(t)(holder.Do("GET", s.at("support", "/whoami"), as, nil, ""))
			if a.Status == 200 {
				t.Errorf("a cookie, %s, by a %s: %d", what, kind, a.Status)
			}
		}
	}
	twice := sealed + "=" + value + "; " + sealed + "=" + s.stray.at("session")
	want(t, "two sessions", must(t)(s.Browser().Do("GET", s.at("support", "/"), world.Fetch, map[string]string{"Cookie": twice}, "")), 400)
}

// walkOddPlaces types addresses where they do not belong, to services and to the identity host, signed in and not.
func (s *stage) walkOddPlaces(t *testing.T) {
	member := s.member(t, s.people[0])
	in := s.stray.at
	header := map[string]string{
		"User-Agent":            in("agent"),
		"Referer":               "https://x.example/?" + in("referer"),
		"X-Note":                in("header"),
		"Cookie":                "theme=" + in("cookie"),
		"Authorization":         "Bearer " + in("authorization"),
		"X-Forwarded-For":       in("forwarded"),
		"Forwarded":             "for=" + in("forwarded"),
		"Baggage":               "user=" + in("baggage"),
		"Tracestate":            "a=" + in("tracestate"),
		"X-Request-Id":          in("id"),
		"X-Isolated-Cloud-User": in("user"),
		"X-User-Context-Token":  in("token"),
		"Origin":                "https://" + in("origin"),
		"Accept-Language":       in("language"),
		"X-Envoy-Original-Path": "/" + in("envoy"),
	}
	targets := map[string]string{
		"query":   "/whoami?email=" + in("query"),
		"path":    "/of/" + in("path"),
		"percent": "/of/" + strings.ReplaceAll(url.QueryEscape(in("percent")), ".", "%2E"),
		"door":    "/.isogate/" + in("door"),
		"signin":  "/.isogate/signin?email=" + in("signin"),
		"start":   "/.isogate/federated/start?x=" + in("start"),
		"logout":  "/.isogate/logout?x=" + in("logout"),
		"long":    "/?" + strings.Repeat(in("long"), 200),
		"slash":   "/of%2F" + in("slash"), "dots": "/of/..%2f" + in("dots"), "NUL": "/of/%00" + in("nul"), "huge": "/?" + strings.Repeat(in("huge"), 2000),
	}
	var all sync.WaitGroup
	for _, name := range []string{"support", "tenant", "id"} {
		all.Go(func() { s.typeAt(name, member, targets, header) })
	}
	all.Go(func() { s.walkMalformed(t) })
	all.Wait()
	if a := must(t)(member.Do("GET", s.at("support", "/whoami?email="+in("query")), world.Fetch, nil, "")); a.Status != 200 || !strings.Contains(a.Body, in("query")) {
		t.Errorf("a query that a person types to a service does not reach it: %d", a.Status)
	}
}

// typeAt types at one host all that walkOddPlaces has, as somebody who is signed in at the Support Centre and as nobody. What comes back is not
// looked at here: it is recorded.
func (s *stage) typeAt(name string, member *world.Browser, targets, header map[string]string) {
	stranger, in := s.Browser(), s.stray.at
	for _, target := range targets {
		for _, b := range []*world.Browser{member, stranger} {
			for _, kind := range []map[string]string{world.Navigation, world.Fetch} {
				_, _ = b.Do("GET", s.at(name, target), kind, nil, "")
			}
		}
	}
	for _, method := range []string{"GET", "POST", "DELETE", "TRACE", "OPTIONS"} {
		for _, path := range []string{"/whoami", "/.isogate/signin", "/.isogate/enter", "/.isogate/logout", "/.isogate/federated/callback"} {
			_, _ = stranger.Do(method, s.at(name, path), nil, header, in("body"))
		}
	}
	_, _ = stranger.Do("POST", s.at(name, "/whoami"), world.Navigation, ownForm(s.at(name, "")), "email="+in("body"))
	for what, value := range header {
		_, _ = member.Do("POST", s.at(name, "/whoami"), world.Fetch, map[string]string{what: value, "Sec-Fetch-Site": "same-origin"}, in("body"))
	}
	_, _ = member.Do("POST", s.at(name, "/whoami"), world.Fetch, map[string]string{"Sec-Fetch-Site": "same-origin"}, strings.Repeat(in("bulk"), 4000))
}

// walkMalformed sends what Envoy answers before anybody is asked.
func (s *stage) walkMalformed(t *testing.T) {
	in, host := s.stray.at, "support.commercial.localhost"
	var all sync.WaitGroup
	for what, text := range map[string]string{
		"another host":        "GET / HTTP/1.1\r\nHost: " + in("host") + "\r\nConnection: close\r\n\r\n",
		"a name of one's own": "GET / HTTP/1.1\r\nHost: " + host + "\r\n" + strings.ReplaceAll(in("field"), "@", ".") + ": x\r\nConnection: close\r\n\r\n",
		"no HTTP":             in("nonsense") + "\r\n\r\n", "two hosts": "GET / HTTP/1.1\r\nHost: " + host + "\r\nHost: " + in("host") + "\r\n\r\n",
		"an invalid escape":   "GET /%zz" + in("escape") + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
		"a control character": "GET / HTTP/1.1\r\nHost: " + host + "\r\nX: \x01" + in("control") + "\r\n\r\n",
		"an absolute target":  "GET https://" + in("absolute") + "/ HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
		"CONNECT":             "CONNECT " + in("connect") + ":443 HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"an odd name":         "GET / HTTP/1.1\r\nHost: " + host + "\r\nX " + in("name") + ": x\r\n\r\n",
		"an upgrade":          "GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: upgrade\r\nUpgrade: " + in("upgrade") + "\r\n\r\n",
		"two lengths":         "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" + in("smuggled"),
		"a version":           "GET /" + in("version") + " HTTP/3.7\r\nHost: " + host + "\r\n\r\n",
		"many headers":        "GET / HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Repeat("X-Note: "+in("many")+"\r\n", 500) + "\r\n",
		"a method":            strings.ToUpper(strings.ReplaceAll(in("method"), "@", ".")) + " / HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
	} {
		all.Go(func() {
			if answer, err := s.raw(host, text); strings.HasPrefix(answer, "HTTP/1.1 2") {
				t.Errorf("%s passed: %.200s (%v)", what, answer, err)
			}
		})
	}
	all.Wait()
	if _, err := s.raw(strings.ReplaceAll(in("server-name"), "@", "."), "GET / HTTP/1.1\r\n\r\n"); err == nil {
		t.Error("the edge takes a name of nobody")
	}
	_, _ = s.raw(strings.ReplaceAll(in("server-name"), "@", ".")+".acme.localhost", "GET / HTTP/1.1\r\n\r\n") // the ingress's to refuse
	for _, name := range []string{"support", "id"} {
		for _, method := range []string{strings.ToUpper(strings.ReplaceAll(in("method"), "@", ".")), "PROPFIND"} {
			if got := s.http2(t, method, s.at(name, "/whoami"), map[string]string{"User-Agent": in("agent"), strings.ReplaceAll(in("field"), "@", "."): "x"}); got < 400 {
				t.Errorf("the method %s: %d", method, got)
			}
		}
	}
}

// aged is a sealed value whose time is over: what the world's own key sealed, with another end.
func (o opener) aged(t *testing.T, purpose, bound, value string) string {
	t.Helper()
	raw, err := o.flows.Open(purpose, bound, value)
	if err != nil {
		t.Fatal(fmt.Errorf("%s of %s: %w", purpose, bound, err))
	}
	var content map[string]any
	if err := json.Unmarshal(raw, &content); err != nil {
		t.Fatal(err)
	}
	content["e"] = time.Now().Add(-time.Minute).Unix()
	if raw, err = json.Marshal(content); err != nil {
		t.Fatal(err)
	}
	return o.flows.Seal(purpose, bound, raw)
}
