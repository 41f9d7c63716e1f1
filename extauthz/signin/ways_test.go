package signin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"isogate/envoy/topology"
	"isogate/extauthz/page"
)

// What a person types: the domain must be one of the directory's, however it is typed; whether the person exists plays no part.
func TestAddresses(t *testing.T) {
	const button, options, refused = "button", "options", "refused"
	for _, tt := range []struct{ typed, want string }{
		{"kim@acme.example", button}, {"nobody.at.all@acme.example", button}, {"kim+tag@acme.example", button}, {"kim@ACME.example", button}, {"Ünï@acme.example", button},
		{"kim@zeta.example", button}, {"kim@unknown.example", options},
		{"kim@sub.acme.example", options}, {"kim@acme.example.evil.test", options}, {"kim@evilacme.example", options}, {"kim@xn--acme-.example", refused},
		{"kim@acme.example.", button}, {"kim@.acme.example", refused}, {"kim@ａｃｍｅ.example", button}, {"kim@acme。example", button}, {"kim@acme．example", button}, {"kim@acme", refused}, {"kim@acme.example..", refused}, {"kim@аcme.example", options}, // full-width; Cyrillic а
		{"kim@bücher.example", options}, {"kim@xn--bcher-kva.example", options},
		{"kim@evil.example@acme.example", refused}, {`"kim@evil.example"@acme.example`, refused}, {"Kim <kim@acme.example>", refused}, {"<kim@acme.example>", refused},
		{"kim@acme.example,eve@evil.example", refused}, {"kim@acme.example (Kim)", refused}, {"kim@[127.0.0.1]", refused}, {"kim@acme.example\r\nx: y", refused},
		{"kim\x00@acme.example", refused}, {"kim\u200b@acme.example", refused}, {" kim@acme.example", button}, {"kim@acme.example ", button}, {"kim@ acme.example", refused},
		{"@acme.example", refused}, {"kim@", refused}, {"kim", refused}, {"acme.example", refused}, {"", refused}, {strings.Repeat("k", 300) + "@acme.example", refused},
	} {
		r := newOutside(t)
		p := r.person()
		got := p.types(p.get(p.visit(supportHost, "/", "")), tt.typed)
		forms := buttons(got)
		_, toCloud := forms[PathFederatedStart]
		is := map[bool]string{true: button, false: options}[toCloud]
		if got.status == http.StatusUnprocessableEntity && strings.Contains(got.body, page.NotAnAddress) {
			is = refused
		}
		if is != tt.want || is != refused && !strings.Contains(got.body, `value="Password"`) {
			t.Errorf("%q: %d %s, want %s", tt.typed, got.status, is, tt.want)
		}
		for name, c := range r.clouds {
			if len(c.asked) != 0 {
				t.Errorf("%q: %s was asked %v", tt.typed, name, c.asked)
			}
		}
	}
}

// Two addresses of one domain get the same answer, whoever they are, but for what is sealed anew.
func TestAnswerTellsNothingAboutAPerson(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	asks := p.get(p.visit(supportHost, "/", ""))
	for _, domain := range []string{"acme.example", "unknown.example"} {
		kim, other := p.types(asks, "kim@"+domain), p.types(asks, "somebody.else@"+domain)
		if kim.body != other.body || kim.status != other.status {
			t.Errorf("%s: the answers differ", domain)
		}
	}
}

// No word of what was typed is in any answer, header, cookie, address or log line from then on. Neither is what the person is called inside.
func TestNothingOfTheAddressGoesOn(t *testing.T) {
	const canary = "cAnArY.kim"
	for _, email := range []string{canary + "@acme.example", canary + "@unknown.example", canary + "@acme.example@x", canary, canary + "@" + canary + ".example"} {
		r := newOutside(t)
		p := r.person()
		var seen []response
		see := func(got response) response { seen = append(seen, got); return got }
		ways := see(p.types(see(p.get(p.visit(supportHost, "/x", ""))), email))
		forms := buttons(ways)
		if form, ok := forms[PathSignIn]; ok {
			form.Set(page.Standard, "Password")
			see(p.post(atIdentity+PathSignIn, form))
		}
		if form, ok := forms[PathFederatedStart]; ok {
			begun := see(p.post(atIdentity+PathFederatedStart, form))
			handed := see(p.get(callbackOf(r.clouds["acme"].authorize(begun.led(t), "sub-"+canary))))
			see(p.get(handed.led(t).String()))
			see(p.get(atSupport + PathLogout))
			see(p.post(atSupport+PathLogout, url.Values{}))
			if r.count(resultOK) != 1 {
				t.Error("the sign-in did not work")
			}
		}
		for _, got := range seen {
			for name, text := range map[string]string{"body": got.body, "header": strings.Join(headerLines(got.header), "\n"), "log": r.log.String()} {
				if strings.Contains(strings.ToLower(text), strings.ToLower(canary)) {
					t.Errorf("%s: the %s holds it", email, name)
				}
			}
		}
	}
}

func headerLines(h http.Header) (lines []string) {
	for name, values := range h {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	return lines
}

// A domain that nobody configured is not even handed on in a form.
func TestUnknownDomainIsNotHandedOn(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	got := p.types(p.get(p.visit(supportHost, "/", "")), "kim@kim-smith.example")
	if strings.Contains(got.body, "kim-smith") {
		t.Error("the page holds the domain that was typed")
	}
}

// A standard option is no place where people of an isolated cloud would type their organisation's password.
func TestStandardOptionIsNoTrap(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	ways := p.types(p.get(p.visit(supportHost, "/x", "")), "kim@acme.example")
	form := buttons(ways)[PathSignIn]
	form.Set(page.Standard, "Password")
	got := p.post(atIdentity+PathSignIn, form)
	if got.status != http.StatusForbidden || got.reason() != "standard-refused" || strings.Contains(got.body, "login.example") {
		t.Fatalf("%d %s", got.status, got.reason())
	}
	begun := p.post(atIdentity+PathFederatedStart, buttons(got)[PathFederatedStart]).led(t)
	handed := p.get(callbackOf(r.clouds["acme"].authorize(begun, "kim")))
	if entered := p.get(handed.led(t).String()); entered.location != atSupport+"/x" {
		t.Errorf("the button there: %d %s", entered.status, entered.location)
	}
}

// Everybody else is led to the address that the file has, and no other.
func TestStandardOptions(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	asks := p.get(p.visit(supportHost, "/x", ""))
	form := buttons(p.types(asks, "kim@unknown.example"))[PathSignIn]
	for name, want := range map[string]string{
		"Password": "https://login.example/password", "Passkey": "https://login.example/passkey",
		"password": "", "": "", "https://evil.example/": "", "//evil.example": "", "Password\x00": "",
	} {
		form.Set(page.Standard, name)
		got := p.post(atIdentity+PathSignIn, form)
		if want == "" && got.reason() != "start-again" || want != "" && got.led(t).String() != want {
			t.Errorf("%q: %d %s", name, got.status, got.reason())
		}
		if strings.Contains(got.body, "evil.example") {
			t.Errorf("%q is repeated", name)
		}
	}
	form.Set(page.Standard, "Password")
	form.Set("cloud", "gone-0123456789abcdef")
	if got := p.post(atIdentity+PathSignIn, form); got.reason() != "start-again" {
		t.Errorf("of a cloud that is gone: %d %s", got.status, got.reason())
	}
}

// A file without standard options has the button alone, and says so to everybody else.
func TestWithoutStandardOptions(t *testing.T) {
	r := newOutside(t)
	r.Platform.SignIn = nil
	p := r.person()
	asks := p.get(p.visit(supportHost, "/", ""))
	forms := buttons(p.types(asks, "kim@acme.example"))
	if _, there := forms[PathFederatedStart]; !there || len(forms) != 1 {
		t.Errorf("%d forms", len(forms))
	}
	if got := p.types(asks, "kim@unknown.example"); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, page.NoWay) {
		t.Errorf("unknown: %d", got.status)
	}
}

// A file without directory entries offers the standard options to everybody.
func TestWithoutADirectory(t *testing.T) {
	r := newOutside(t)
	r.Clouds = NewFederations(nil)
	p := r.person()
	got := p.types(p.get(p.visit(supportHost, "/", "")), "kim@acme.example")
	if _, there := buttons(got)[PathFederatedStart]; there || !strings.Contains(got.body, `value="Password"`) {
		t.Errorf("%d %s", got.status, got.reason())
	}
}

// Forms that nobody of ours made.
func TestHostileForms(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	sealed := strings.TrimPrefix(p.visit(supportHost, "/", ""), atIdentity+PathSignIn+"?flow=")
	cloud := r.clouds["acme"].entry.ID
	const again, bad = "start-again", "bad-request"
	for name, tt := range map[string]struct {
		path, want string
		form       url.Values
	}{
		"an address twice":            {PathSignIn, bad, url.Values{"email": {"a@acme.example", "b@acme.example"}}},
		"a flow twice":                {PathSignIn, bad, url.Values{"email": {"a@acme.example"}, "flow": {sealed, sealed}}},
		"a flow that is cut":          {PathSignIn, again, url.Values{"email": {"a@acme.example"}, "flow": {sealed[1:]}}},
		"a flow that is empty":        {PathSignIn, again, url.Values{"email": {"a@acme.example"}, "flow": {""}}},
		"a huge form":                 {PathSignIn, bad, url.Values{"email": {strings.Repeat("a", 20<<10)}}},
		"no cloud":                    {PathFederatedStart, again, url.Values{"flow": {sealed}}},
		"an unknown cloud":            {PathFederatedStart, again, url.Values{"flow": {sealed}, "cloud": {"evil-0123456789abcdef"}}},
		"a cloud in other letters":    {PathFederatedStart, again, url.Values{"flow": {sealed}, "cloud": {strings.ToUpper(cloud)}}},
		"a cloud twice":               {PathFederatedStart, bad, url.Values{"flow": {sealed}, "cloud": {cloud, cloud}}},
		"a flow at start that is cut": {PathFederatedStart, again, url.Values{"flow": {sealed[1:]}, "cloud": {cloud}}},
		"a target in the flow":        {PathFederatedStart, again, url.Values{"flow": {"https://evil.example/"}, "cloud": {cloud}}},
		"a huge form at start":        {PathFederatedStart, bad, url.Values{"flow": {strings.Repeat("a", 20<<10)}, "cloud": {cloud}}},
	} {
		got := p.post(atIdentity+tt.path, tt.form)
		if got.reason() != tt.want || len(got.header.Values("set-cookie")) > 0 || strings.Contains(got.body, "evil") {
			t.Errorf("%s: %d %s %v", name, got.status, got.reason(), got.header.Values("set-cookie"))
		}
	}
	if r.clouds["acme"].times(cloudPAR) != 0 {
		t.Error("the cloud was asked")
	}
	if got := p.post(atIdentity+PathFederatedStart, url.Values{"cloud": {cloud}}); got.status != http.StatusOK {
		t.Errorf("without a flow: %d %s", got.status, got.reason())
	}
}

// A service that is not open to people of isolated clouds refuses them at its own host, and keeps nothing of them.
func TestServiceThatIsNotFederated(t *testing.T) {
	r := newOutside(t)
	p := r.person()
	at := p.begins(closedHost, "/x", "", "kim@acme.example")
	handed := p.get(callbackOf(r.clouds["acme"].authorize(at, "kim")))
	got := p.get(handed.led(t).String())
	if got.status != http.StatusForbidden || got.reason() != "federation" || !strings.Contains(got.body, `href="`+atIdentity+PathLogout+`"`) {
		t.Errorf("%d %s", got.status, got.reason())
	}
	if len(p.jar[closedHost]) != 0 {
		t.Errorf("cookies there: %v", p.jar[closedHost])
	}
	var carried outsideTicket
	if err := r.unsealFor(purposeOutsideTicket, closedHost, handed.led(t).Query().Get("ticket"), &carried); err != nil || carried.Session != "" {
		t.Errorf("its ticket carries a session: %v", err)
	}
	for i := range r.Platform.Services {
		r.Platform.Services[i].Federation = topology.FederationNone
	}
	if got := p.get(p.get(p.visit(supportHost, "/", "")).led(t).String()); got.reason() != "federation" || p.at(supportHost).Cloud != "" {
		t.Errorf("closed since: %d %s", got.status, got.reason())
	}
}
