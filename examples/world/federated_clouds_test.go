package world

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Two clouds' people are told apart everywhere, in one browser too.
func TestTwoCloudsInOneBrowser(t *testing.T) {
	b := member(t, "alice")
	alice, _ := given(t, b, "support")
	signOutOutside(t, b, "support")
	grace := serviceOf(t, federate(t, b, shared.Globex, "grace", at("support", "/whoami")))
	if grace.Cloud != shared.Globex.ID || grace.Cloud == alice.Cloud || grace.User == alice.User {
		t.Errorf("the second person is %q of %q", grace.User, grace.Cloud)
	}
	if !insideLives(t, b, shared.Cloud) || !insideLives(t, b, shared.Globex) {
		t.Error("one cloud ended the other's session")
	}
	must(t)(b.Open(shared.URL("issues", "/"))) // a handle at the first cloud's product
	mine := echoOf(t, must(t)(b.Open(shared.Globex.URL("issues", "/whoami")))).Claims
	if mine["name"] != "Grace Gale" || mine["isolated_cloud_id"] != shared.Globex.ID {
		t.Errorf("Globex' product knows %v of %v", mine["name"], mine["isolated_cloud_id"])
	}
	b.SetCookie(shared.Globex.URL("issues", "/"), handleCookie, handle(b, "issues"))
	if got := status(t, b, shared.Globex.URL("issues", "/whoami")); got != 401 {
		t.Errorf("the first cloud's handle at the second's product: %d", got)
	}
}

// Who signs in as somebody else in a second tab is somebody else everywhere outside, and the first session is over.
func TestSecondTabOfAnotherCloud(t *testing.T) {
	b := watched(t)
	first := must(t)(b.Press(lookup(t, b, "alice@acme.example"), shared.button(), nil))
	second := must(t)(b.Press(lookup(t, b, "grace@globex.example"), shared.Globex.button(), nil))
	page := must(t)(b.Press(must(t)(b.Authenticate(shared.User("alice"), first)), goOn, nil))
	if page.URL.Host != shared.Platform.host("support") || page.Status != 200 {
		t.Fatalf("the first tab: %d at %s", page.Status, page.URL)
	}
	copied := holder(t, "support", outsideOf(b, "support"))
	page = must(t)(b.Press(must(t)(b.Authenticate(shared.Globex.User("grace"), second)), goOn, nil))
	if e, _ := given(t, b, "support"); e.Cloud != shared.Globex.ID {
		t.Errorf("the second tab ends as somebody of %q (%d at %s)", e.Cloud, page.Status, page.URL)
	}
	within(t, "the first session is over", func() bool { return !known(t, copied, "support") })
}

// A token of one cloud is nothing in another.
func TestTokenOfAnotherCloud(t *testing.T) {
	o := platform(t)
	s := o.enter(watched(t), "alice")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, shared.Globex.URL("auth", "/oauth2/session"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Token.SetAuthHeader(request)
	if status, code := refusal(o.do(request, 200, nil)); status != 401 {
		t.Errorf("another cloud's session resource: %d %s", status, code)
	}
	o.session(s)
}

// An OAuth server that answers for another cloud, or lies in any other way, signs nobody in.
func TestHostileCloud(t *testing.T) {
	fake := newFakeCloud(t)
	first := serviceOf(t, federate(t, watched(t), shared.Cloud, "alice", at("support", "/whoami")))
	for _, c := range []struct {
		name   string
		lie    func(claims map[string]any)
		answer map[string]string
		want   int
	}{
		{"the truth", nil, nil, 200},
		{"the first cloud's id", claim("isolated_cloud_id", shared.ID), nil, 503},
		{"the first cloud's issuer", claim("iss", shared.URL("auth", "")), nil, 503},
		{"another audience", claim("aud", "portal"), nil, 503},
		{"two audiences", claim("aud", []string{Client, "portal"}), nil, 503},
		{"another request", claim("nonce", "another"), nil, 400},
		{"no nonce", claim("nonce", nil), nil, 400},
		{"no cloud id", claim("isolated_cloud_id", nil), nil, 503},
		{"nobody", claim("sub", ""), nil, 503},
		{"no grant", claim("sid", nil), nil, 503},
		{"over already", claim("session_expiry", in(-time.Minute)), nil, 400},
		{"old", claim("exp", in(-5*time.Minute)), nil, 503},
		{"answers as the first cloud", nil, map[string]string{"iss": shared.URL("auth", "")}, 400},
		{"answers without a name", nil, map[string]string{"iss": ""}, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := watched(t)
			page := fake.signIn(t, b, c.lie, c.answer)
			if page.Status != c.want {
				t.Errorf("%d at %s, want %d\n%.400s", page.Status, page.URL, c.want, page.Body)
			}
			e, status := given(t, b, "support")
			if (status == 200) != (c.want == 200) || c.want != 200 && outsideOf(b, "id") != "" {
				t.Errorf("the service: %d", status)
			}
			if status == 200 && (e.Cloud != shared.Globex.ID || e.User == first.User) {
				t.Errorf("somebody of %q, as %q", e.Cloud, e.User)
			}
		})
	}
	t.Run("the first cloud's person by sub", func(t *testing.T) {
		o := platform(t)
		sub := o.enter(watched(t), "alice").Claims["sub"]
		b := watched(t)
		fake.signIn(t, b, claim("sub", sub), nil)
		if e, status := given(t, b, "support"); status != 200 || e.User == first.User || e.Cloud == first.Cloud {
			t.Errorf("%d: %q of %q", status, e.User, e.Cloud)
		}
	})
	t.Run("a page of its own", func(t *testing.T) {
		fake.page(t)
	})
}

// claim is a lie about one claim.
func claim(name string, value any) func(map[string]any) {
	return func(claims map[string]any) {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
}

// The answers of a cloud are read within bounds, and lead nowhere.
func (f *fakeCloud) page(t *testing.T) {
	for name, body := range map[string]string{
		"HTML": "<html>", "an address as request_uri": `{"request_uri": "https://evil.example/", "expires_in": 60}`, "huge": strings.Repeat("x", 2<<20),
		"no request_uri": `{"expires_in": 60}`, "twice": `{"request_uri": "urn:a", "request_uri": "urn:b"}`, "a line end": `{"request_uri": "urn:a\r\nx"}`,
	} {
		f.par.Store(&body)
		b := watched(t)
		page := must(t)(b.Press(lookup(t, b, "grace@globex.example"), shared.Globex.button(), nil))
		if strings.Contains(page.URL.Host, "evil") || strings.Contains(page.Leads(), "//evil.example") {
			t.Errorf("%s: led to %s, %q", name, page.URL, page.Leads())
		}
		if name != "an address as request_uri" { // which is a parameter of the cloud's own address all the same
			wantPage(t, page, 503, "Sign-in is not available right now")
		}
	}
	f.par.Store(nil)
}
