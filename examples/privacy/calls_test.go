package privacy

import (
	"strings"
	"testing"

	"isogate/examples/world"
)

// walkCalls has services call the isolated cloud for people: well, badly, with what people type in it, and while parts of the way are away.
func (s *stage) walkCalls(t *testing.T) {
	const issue = "/issue/OPS-1"
	member, in := s.member(t, s.people[0]), s.stray.at
	page := must(t)(member.Open(s.at("support", issue+"?note="+in("note"))))
	if page.Status != 200 || !strings.Contains(page.Body, "Backups of the wiki") {
		t.Errorf("the page of an issue: %d\n%.600s", page.Status, page.Body)
	}
	want(t, "an issue that is not there", must(t)(member.Open(s.at("support", "/issue/OPS-9"))), 404)
	want(t, "an issue that a person types", must(t)(member.Open(s.at("support", "/issue/"+in("issue")))), 404)
	want(t, "another service's page", must(t)(member.Open(s.at("market", issue))), 403)
	s.walkOddCalls(t, member)

	s.keep(t)
	for _, part := range []string{"envoy-gateway", "extauthz"} {
		if err := s.Parts[part].Stop(); err != nil {
			t.Fatal(err)
		}
		want(t, "without "+part, must(t)(member.Open(s.at("support", issue+"?note="+in("note")))), 503)
		if err := s.Parts[part].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.works(t)
	}
	s.away(t, "extauthz-egress-support", func() {
		want(t, "without the sidecar's check", must(t)(member.Open(s.at("support", issue+"?note="+in("note")))), 503)
	})
	eventually(t, "calls pass again", func() bool { return s.status(member, s.at("support", issue)) == 200 })

	// Of the endings that a service is told: the person leaves inside, and the token is still fresh.
	given := s.given(t, member, "support").To("issues", "GET", "/rest/api/issue/OPS-1")
	must(t)(member.Open(s.URL("issues", "/")))
	must(t)(member.Press(must(t)(member.Open(s.URL("issues", "/.isogate/logout"))), "Sign out", nil))
	want(t, "after the sign-out inside", must(t)(s.CallSidecar("support", given)), 401)
}

// walkOddCalls are calls of a service that passes on what people typed, wherever a call has room for it.
func (s *stage) walkOddCalls(t *testing.T, member *world.Browser) {
	in, path := s.stray.at, "/rest/api/issue/OPS-1"
	support, market := s.given(t, member, "support"), s.given(t, member, "market")
	good := support.To("issues", "GET", path)
	with := func(change func(*world.Call)) world.Call {
		c := good
		change(&c)
		return c
	}
	header := map[string]string{"User-Agent": in("call-agent"), "X-Note": in("call-header"), "Cookie": "a=" + in("call-cookie"), "X-Request-Id": in("call-id"), "X-Forwarded-For": in("call-forwarded")}
	for _, c := range []struct {
		what, service string
		call          world.Call
		status        int
	}{
		{"with headers of people", "support", with(func(c *world.Call) { c.Header = header }), 200},
		{"with a path of people", "support", support.To("issues", "GET", "/of/"+in("call-path")), 403},
		{"with a segment of people", "support", support.To("issues", "GET", "/rest/api/issue/"+in("call-segment")), 404},
		{"with a query of people", "support", support.To("issues", "GET", path+"?email="+in("call-query")), 403},
		{"with a listed query of people", "support", support.To("issues", "GET", path+"?fields="+in("call-fields")), 200},
		{"with a body of people", "support", with(func(c *world.Call) { c.Method, c.Body = "POST", in("call-body") }), 403},
		{"of a product that is none", "support", support.To(in("call-product"), "GET", path), 400},
		{"of a cloud that is none", "support", with(func(c *world.Call) { c.Cloud = in("call-cloud") }), 403},
		{"with a token that is none", "support", with(func(c *world.Call) { c.Token = in("call-token") }), 401},
		{"without a token", "support", with(func(c *world.Call) { c.Token = "" }), 400},
		{"by another service's sidecar", "market", good, 401},
		{"by a service that is not listed", "market", market.To("issues", "GET", path), 403},
		{"with an escaped slash", "support", support.To("issues", "GET", "/of%2F"+in("call-slash")), 400},
	} {
		want(t, "a call "+c.what, must(t)(s.CallSidecar(c.service, c.call)), c.status)
	}
	wrongCloud := must(t)(s.CallSidecar("support", with(func(c *world.Call) { c.Cloud = "another-0123456789abcdef" })))
	want(t, "a call of another cloud", wrongCloud, 403)
}

func (s *stage) given(t *testing.T, b *world.Browser, service string) world.Call {
	t.Helper()
	given, err := s.Given(b, service)
	if err != nil {
		t.Fatal(err)
	}
	return given
}
