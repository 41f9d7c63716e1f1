package profile

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/extauthz/check"
	"isogate/extauthz/session"
	"isogate/extauthz/usercontext"
)

func TestOurCookiesNeverReachAProduct(t *testing.T) {
	w := newWorld(t)
	_, mine := w.signedIn(issuesHost, ada)
	tests := []struct {
		name   string
		in     []string
		want   string // the cookies that the product gets in place of what was sent; "" if they are left as they are or removed
		remove bool
	}{
		{"only ours", []string{mine}, "", true},
		{"ours and a flow", []string{mine + "; __Host-isogate_flow_1=x"}, "", true},
		{"mixed", []string{"a=1; " + mine + "; b=2"}, "a=1; b=2", false},
		{"on two lines", []string{"a=1", mine, "b=2; __HOST-ISOGATE_X=y"}, "a=1; b=2", false},
		{"of no known name", []string{mine + "; __Host-isogate_federated=x; __host-Isogate=y; c=3"}, "c=3", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.t = t
			in := ask("GET", "/x")
			for _, line := range tt.in {
				in = with(in, "cookie", line)
			}
			v := w.expect(in, pass(check.Session))
			if got := set(v, "cookie"); got != tt.want || slices.Contains(v.Remove, "cookie") != tt.remove {
				t.Errorf("set %q, removed %q", got, v.Remove)
			}
			in.Path = "/health"
			for _, cookie := range in.Header["cookie"] {
				in.Header["cookie"] = []string{strings.ReplaceAll(cookie, mine, forged)}
			}
			if v = w.expect(in, pass(check.Anonymous)); strings.Contains(strings.ToLower(set(v, "cookie")), "isogate") {
				t.Errorf("anonymous: set %q", set(v, "cookie"))
			}
		})
	}
	w.t = t
	for _, in := range []check.Request{ask("GET", "/health"), ask("GET", "/health", "cookie", "a=1; b=2"), ask("GET", "/health", "cookie", "a=1", "cookie", "b=2")} {
		if v := w.expect(in, pass(check.Anonymous)); len(v.Set)+len(v.Remove) != 0 {
			t.Errorf("cookies that are not ours are touched: %v, %q", v.Set, v.Remove)
		}
	}
}

// CVE-2024-45806, CVE-2025-64484: an identity that a client claims is removed in every spelling that a framework folds into ours.
func TestClaimedIdentitiesAreRemoved(t *testing.T) {
	w := newWorld(t)
	_, mine := w.signedIn(issuesHost, ada)
	claimed := []string{
		"x-user-context-token", "x_user_context_token", "x-user_context-token", "x.user.context.token", "x-user-context-email", "x_user_context", "x-isolated-cloud-id",
		"x_isolated_cloud_user", "x-isolated_cloud-token", "x-isogate-product", "x_isogate_endpoint", "x~isolated~cloud~id", "x-isogate",
	}
	kept := []string{"x-user", "x-request-id", "authorization", "x-forwarded-for", "x-isolate", "user-agent", "accept"}
	in := ask("GET", "/x", "cookie", mine)
	for _, name := range slices.Concat(claimed, kept) {
		in = with(in, name, "admin", name, "root")
	}
	v := w.expect(in, pass(check.Session))
	for _, name := range claimed {
		if !slices.Contains(v.Remove, name) && name != usercontext.Header {
			t.Errorf("%s reaches the product", name)
		}
	}
	for _, name := range kept {
		if slices.Contains(v.Remove, name) || set(v, name) != "" {
			t.Errorf("%s is not ours", name)
		}
	}
	// Envoy removes after it sets: the token must not be among what is removed.
	if slices.Contains(v.Remove, usercontext.Header) || set(v, usercontext.Header) == "admin" {
		t.Error("the token is removed, or is the client's")
	}
	if !slices.IsSorted(v.Remove[:len(v.Remove)-1]) {
		t.Errorf("not in order, so that two verdicts differ: %q", v.Remove)
	}
	in.Path, in.Header["cookie"] = "/health", nil
	if v = w.expect(in, pass(check.Anonymous)); !slices.Contains(v.Remove, usercontext.Header) || len(v.Remove) != len(claimed) {
		t.Errorf("anonymous: removed %q", v.Remove)
	}
	if _, said := check.Encode(v); !said.Allow {
		t.Error("Envoy would not take that answer")
	}
}

// A product learns the minimum, and what its entry lists; never more, and never another product's.
func TestATokenHoldsWhatTheProductsEntryLists(t *testing.T) {
	w := newWorld(t)
	base := map[string]bool{}
	for _, name := range strings.Fields("iss sub aud iat exp jti sid auth_time acr amr isolated_cloud_id") {
		base[name] = true
	}
	for _, tt := range []struct {
		host, product string
		more          []string
	}{{issuesHost, "issues", []string{"email"}}, {wikiHost, "wiki", []string{"name", "groups"}}, {"simple.acme.example", "plain", nil}} {
		t.Run(tt.product, func(t *testing.T) {
			w.t = t
			s, cookie := w.signedIn(tt.host, ada)
			v := w.expect(at(tt.host, tt.product, ask("GET", "/x", "cookie", cookie)), pass(check.Session))
			got, _ := w.token(v, tt.product)
			want := usercontext.Claims{
				Issuer: "https://auth.acme.example:8443", Subject: "opaque-user", Audience: tt.product, IssuedAt: start.Unix(), Expires: start.Unix() + 300, ID: got.ID,
				Session: s.ID, AuthTime: start.Unix(), ACR: "mfa", AMR: []string{"pwd", "otp"}, CloudID: "c-0123456789abcdef",
			}
			want = listed(want, tt.more)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			raw := must(json.Marshal(got))(t)
			var members map[string]any
			if err := json.Unmarshal(raw, &members); err != nil || len(members) != len(base)+len(tt.more) {
				t.Errorf("%d members: %s", len(members), raw)
			}
		})
	}
}

func listed(c usercontext.Claims, names []string) usercontext.Claims {
	for _, name := range names {
		switch name {
		case "email":
			c.Email = ada.Email
		case "name":
			c.Name = ada.Name
		case "groups":
			c.Groups = ada.Groups
		}
	}
	return c
}

// pomerium#1279: a stream cannot outlive the session's known end, but by the second that every request has, nor the product's limit.
func TestAStreamEndsWithItsSession(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(wikiHost, ada)
	visit := at(wikiHost, "wiki", ask("GET", "/x", "cookie", cookie))
	for end := start.Add(limits.Absolute); w.now.Before(end); w.now = w.now.Add(25 * time.Minute) {
		v := w.expect(visit, pass(check.Session))
		if want := min(time.Hour, limits.Idle, end.Sub(w.now)); v.Stream != want {
			t.Fatalf("after %s: %s, want %s", w.now.Sub(start), v.Stream, want)
		}
	}
	w.now = start.Add(limits.Absolute - time.Millisecond) // a request that comes now is answered
	if v := w.expect(visit, pass(check.Session)); v.Stream != time.Second {
		t.Errorf("in the last millisecond: %s", v.Stream)
	}
	if v := w.expect(ask("GET", "/health"), pass(check.Anonymous)); v.Stream != 5*time.Minute {
		t.Errorf("nobody's stream lasts %s", v.Stream)
	}
}

// A group that is gone is gone from the next decision and the next token after the sign-in that said so. CVE-2021-41230.
func TestAChangedClaimChangesTheNextDecision(t *testing.T) {
	w := newWorld(t)
	writer := ada
	writer.Groups = []string{"writers"}
	s, cookie := w.signedIn(wikiHost, writer)
	write := at(wikiHost, "wiki", ask("PUT", "/x", "cookie", cookie, "sec-fetch-site", "same-origin"))
	read := at(wikiHost, "wiki", ask("GET", "/x", "cookie", cookie))
	w.expect(write, pass(check.Session))
	w.now = w.now.Add(time.Second)
	if _, err := w.sessions.Renew(t.Context(), s.ID, ada, limits); err != nil {
		t.Fatal(err)
	}
	w.expect(write, deny(403, check.Policy))
	if claims, _ := w.token(w.expect(read, pass(check.Session)), "wiki"); !slices.Equal(claims.Groups, ada.Groups) {
		t.Errorf("the token still says %q", claims.Groups)
	}
}

// Envoy may repeat a check: it gives the same answer, and writes nothing but activity.
func TestADecisionMayBeRepeated(t *testing.T) {
	w := newWorld(t)
	_, cookie := w.signedIn(issuesHost, ada)
	w.records.writes = nil
	for name, in := range map[string]check.Request{
		"session": ask("GET", "/x", "cookie", cookie+"; a=1", "x-isogate-b", "1", "x-isogate-a", "1", "x_isolated_x", "1"), "anonymous": ask("GET", "/health", "cookie", forged),
		"policy": ask("GET", "/forbidden", "cookie", cookie), "nobody": ask("GET", "/x"), "own": at(issuesHost, "", ask("GET", "/.isogate/logout")),
		"misdirected": at("evil.example", "issues", ask("GET", "/")), "form": ask("POST", "/x", form...),
	} {
		first := w.decide(in)
		for range 5 {
			if diff := cmp.Diff(first, w.decide(in)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
	first, second := w.decide(ask("GET", "/x", navigation...)), w.decide(ask("GET", "/x", navigation...))
	if first.Answer.Status != second.Answer.Status || len(first.Answer.Header) != len(second.Answer.Header) {
		t.Error("a repeated navigation is answered in another way")
	}
	if len(w.records.writes) != 0 {
		t.Errorf("a decision writes: %q", w.records.writes)
	}
	if err := w.sessions.Flush(t.Context()); err != nil || len(w.records.writes) != 1 || !strings.HasPrefix(w.records.writes[0], "a/") {
		t.Errorf("not activity alone: %q, %v", w.records.writes, err)
	}
}

// oauth2-proxy#3258: sign-ins that were never finished do not pile up in the browser.
func TestOldFlowCookiesGiveWay(t *testing.T) {
	w := newWorld(t)
	var held []string
	for i := range 40 {
		held = append(held, session.NewFlowCookie(start.Add(time.Duration(i-60)*time.Second)).Name+"=x")
	}
	v := w.expect(with(ask("GET", "/x", navigation...), "cookie", strings.Join(held, "; ")), deny(302, check.SignIn))
	lines := answered(v, "set-cookie")
	if len(lines) != 40-session.MaxFlows+1+1 {
		t.Fatalf("%d cookies", len(lines))
	}
	for i, line := range lines[:len(lines)-1] {
		name, _, _ := strings.Cut(held[i], "=")
		if !strings.HasPrefix(line, name+"=; Max-Age=0;") {
			t.Errorf("%q does not remove the %dth oldest", line, i)
		}
	}
	if last := lines[len(lines)-1]; !strings.Contains(last, "Max-Age=600") {
		t.Errorf("the new one: %q", last)
	}
}
