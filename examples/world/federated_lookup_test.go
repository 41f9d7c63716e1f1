package world

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// lookup types an address at the identity host.
func lookup(t *testing.T, b *Browser, email string) Answer {
	t.Helper()
	page := must(t)(b.Open(at("support", "/")))
	return must(t)(b.Press(page, goOn, map[string]string{"email": email}))
}

// The domain decides, exactly, and nothing of the address comes back.
func TestLookup(t *testing.T) {
	acme, globex, nobody := []string{shared.button(), standard}, []string{shared.Globex.button(), standard}, []string{standard}
	again := []string{goOn}
	for _, c := range []struct {
		name, email string
		want        []string
	}{
		{"a person", "alice@acme.example", acme},
		{"nobody of the domain", "canary-nobody@acme.example", acme},
		{"in capitals", "Canary@ACME.Example", acme},
		{"another cloud's", "canary@globex.example", globex},
		{"tagged", "canary+tag@acme.example", acme},
		{"unknown domain", "canary@unknown.example", nobody},
		{"believed, but not managed", "canary@partner.example", nobody},
		{"public mail", "canary@gmail.com", nobody},
		{"sub-domain", "canary@sub.acme.example", nobody},
		{"domain as a prefix", "canary@acme.example.evil.example", nobody},
		{"domain as a suffix", "canary@evil-acme.example", nobody},
		{"IDNA, unknown", "canary@bücher.example", nobody},
		{"IDNA, full width, which browsers map", "canary@ａｃｍｅ.example", acme},
		{"the cloud's own host", "canary@auth.acme.localhost", nobody},
		{"a look-alike", "canary@аcme.example", nobody}, // a Cyrillic letter
		{"two at signs", "canary@evil.example@acme.example", again},
		{"two at signs, the other way", "canary@acme.example@evil.example", again},
		{"with blanks around, which browsers take away", "  canary@acme.example ", acme},
		{"no at sign", "acme.example", again},
		{"no local part", "@acme.example", again},
		{"no domain", "canary@", again},
		{"nothing", "", again},
		{"a display name", "Canary <canary@acme.example>", again},
		{"two addresses", "canary@acme.example, x@globex.example", again},
		{"a line end", "canary@acme.example\r\nx: y", again},
		{"NUL", "canary@acme.example\x00", again},
		{"not UTF-8", "canary\xff@acme.example", again},
		{"markup", `canary"><script>alert(1)</script>@acme.example`, again},
		{"an IP address", "canary@[127.0.0.1]", again},
		{"far too long", strings.Repeat("canary", 60) + "@acme.example", again},
	} {
		t.Run(c.name, func(t *testing.T) {
			page := lookup(t, watched(t), c.email)
			if got := page.Buttons(); !slices.Equal(got, c.want) {
				t.Errorf("%d with %q, want %q", page.Status, got, c.want)
			}
			if slices.Equal(c.want, again) != (page.Status == 422) {
				t.Errorf("status %d", page.Status)
			}
			said := page.Body + page.URL.String() + fmt.Sprint(page.Header)
			if strings.Contains(strings.ToLower(said), "canary") || page.URL.RawQuery != "" || len(page.Header.Values("Set-Cookie")) != 0 {
				t.Errorf("the answer at %s holds the address, or sets %q", page.URL, page.Header.Values("Set-Cookie"))
			}
		})
	}
}

var flowField = regexp.MustCompile(`(name="flow"[^>]*value=")[^"]*`)

// Whether somebody exists shows in nothing. The time is shown for people to judge; what is demanded of it only finds a difference that is
// plain, such as a question to another machine.
func TestLookupDoesNotTellWhoExists(t *testing.T) {
	b := watched(t)
	page := must(t)(b.Open(at("support", "/")))
	ask := func(email string) (string, string, time.Duration) {
		began := time.Now()
		a := must(t)(b.Press(page, goOn, map[string]string{"email": email}))
		took := time.Since(began)
		header := a.Header.Clone()
		for _, name := range []string{"Date", "X-Request-Id"} {
			header.Del(name)
		}
		return flowField.ReplaceAllString(a.Body, "$1"), fmt.Sprint(a.Status, header), took
	}
	times := map[string][]time.Duration{}
	body, header, _ := ask("alice@acme.example")
	for range 40 {
		for _, email := range []string{"alice@acme.example", "dave@acme.example", "never-there@acme.example", "x@acme.example"} {
			gotBody, gotHeader, took := ask(email)
			if gotBody != body || gotHeader != header {
				t.Fatalf("%s gets another answer:\n%s\n%s", email, gotHeader, gotBody)
			}
			times[email] = append(times[email], took)
		}
	}
	var medians []time.Duration
	for email, all := range times {
		slices.Sort(all)
		medians = append(medians, all[len(all)/2])
		t.Logf("%-26s median %s", email, all[len(all)/2])
	}
	if least, most := slices.Min(medians), slices.Max(medians); most > 3*least+5*time.Millisecond {
		t.Errorf("from %s to %s", least, most)
	}
}

// The page of a standard option is no place for the password of an organisation.
func TestStandardOption(t *testing.T) {
	before := len(shared.Platform.Login.Received())
	b := watched(t)
	page := lookup(t, b, "canary-trap@acme.example")
	trap := must(t)(b.Press(page, standard, nil))
	if trap.Status != 403 || !slices.Equal(trap.Buttons(), []string{shared.button()}) || trap.Leads() != "" {
		t.Errorf("the standard option: %d with %q, leads to %q", trap.Status, trap.Buttons(), trap.Leads())
	}
	if to := must(t)(b.Press(trap, shared.button(), nil)); !strings.HasPrefix(to.URL.String(), "https://"+shared.idpHost()) {
		t.Errorf("its button leads to %s", to.URL)
	}
	if got := len(shared.Platform.Login.Received()); got != before {
		t.Errorf("the standard sign-in was sent %d bytes", got-before)
	}
	page = lookup(t, b, "canary-standard@unknown.example")
	if to := must(t)(b.Press(page, standard, nil)); to.URL.String() != at("login", "/") {
		t.Errorf("the standard option leads to %s", to.URL)
	}
	received := string(shared.Platform.Login.Received()[before:])
	if !strings.Contains(received, "GET / HTTP/") || strings.Contains(received, "canary") || strings.Contains(strings.ToLower(received), "referer") {
		t.Errorf("the standard sign-in was sent %q", received)
	}
	for name, values := range map[string]map[string]string{
		"an address of one's own": {"standard": "https://evil.example/"}, "no option": {"standard": ""}, "an unknown cloud": {"standard": standard, "cloud": "evil-00000000000000000000"},
	} {
		if a := must(t)(b.Press(page, standard, values)); a.Status < 400 || a.Leads() != "" {
			t.Errorf("%s: %d leads to %q", name, a.Status, a.Leads())
		}
	}
}

// The forms count only from the identity host's own pages.
func TestIdentityFormsOfAnotherPage(t *testing.T) {
	b := watched(t)
	page := lookup(t, b, "x@acme.example")
	forms, err := page.forms()
	if err != nil {
		t.Fatal(err)
	}
	for origin, site := range map[string]string{"https://evil.example": "cross-site", at("support", ""): "same-site", "null": "cross-site", "": ""} {
		extra := map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Origin": origin, "Sec-Fetch-Site": site}
		if origin == "" {
			extra = map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
		}
		for _, f := range forms {
			a := must(t)(b.Do("POST", f.action, nil, extra, f.fields.Encode()))
			if a.Status != 403 || a.Leads() != "" {
				t.Errorf("%s from %q: %d leads to %q", f.action, origin, a.Status, a.Leads())
			}
		}
	}
}

// Sealed values of other places, and of nobody, begin nothing.
func TestFlowsOfOtherPlaces(t *testing.T) {
	b := watched(t)
	inside := parsed(t, must(t)(b.Step(shared.URL("issues", "/"))).Leads()).Query().Get("flow")
	flow := parsed(t, must(t)(b.Step(at("support", "/"))).Leads()).Query().Get("flow")
	for name, value := range map[string]string{
		"an isolated cloud's": inside, "flipped": flip(flow, len(flow)/2), "cut": flow[:len(flow)-4], "an address": "https://evil.example/", "empty": "",
	} {
		wantPage(t, must(t)(b.Step(at("id", "/.isogate/signin?flow="+value))), 400, startAgain)
		page := must(t)(b.Open(at("support", "/")))
		for _, press := range []map[string]string{{"email": "x@acme.example", "flow": value}, {"standard": standard, "flow": value}} {
			if a := must(t)(b.Press(page, goOn, press)); a.Status != 400 || a.Leads() != "" {
				t.Errorf("%s with %v: %d leads to %q", name, press, a.Status, a.Leads())
			}
		}
		ways := lookup(t, b, "x@acme.example")
		if a := must(t)(b.Press(ways, shared.button(), map[string]string{"flow": value})); a.Status != 400 || a.Leads() != "" {
			t.Errorf("%s at the button: %d leads to %q", name, a.Status, a.Leads())
		}
		if a := must(t)(b.Press(ways, shared.button(), map[string]string{"cloud": value})); a.Status != 400 || a.Leads() != "" {
			t.Errorf("%s as a cloud: %d leads to %q", name, a.Status, a.Leads())
		}
	}
}
