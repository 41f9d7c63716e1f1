package signin

import (
	"net/http"
	"net/url"
	"regexp"
	"testing"
)

// hidden are the fields that a page's form hands on.
func hidden(body string) url.Values {
	fields := url.Values{}
	for _, input := range regexp.MustCompile(`<input name="[a-z_]+" type="hidden" value="[^"]*">`).FindAllString(body, -1) {
		fields.Add(found(input, `name="([a-z_]+)"`), found(input, `value="([^"]*)"`))
	}
	return fields
}

// typed sends the e-mail form of a page as a person does.
func (b browser) typed(form response, email string) response {
	b.t.Helper()
	fields := hidden(form.body)
	fields.Set("email", email)
	return b.post(atAuth+PathSignIn, fields)
}

// wishes are sets of what a sign-in may ask of the provider.
var wishes = map[string]url.Values{
	"none": {}, "another account": {"prompt": {"login"}}, "a fresh proof": {"max_age": {"60"}}, "at once": {"max_age": {"0"}},
	"a strong proof": {"acr_values": {"urn:acme:mfa phr"}}, "all": {"prompt": {"login"}, "max_age": {"3600"}, "acr_values": {`a&b=c "d" <e>`}},
}

// Who asked for another account must be asked who they are, whichever way leads to the provider: else it lets the same account in again, and
// on a shared computer the next person comes in as the one before. The other wishes are not lost either.
func TestWishesSurviveTheWayToTheProvider(t *testing.T) {
	for _, way := range []struct {
		name string
		lead func(b browser, begin string) *url.URL
	}{
		{"the e-mail form", func(b browser, begin string) *url.URL { return b.led(b.typed(b.get(begin), "bob@honest.example")) }},
		{"the form again, after an address of nobody", func(b browser, begin string) *url.URL {
			return b.led(b.typed(b.typed(b.get(begin), "bob@nobody.example"), "bob@honest.example"))
		}},
		{"the form again, after no address", func(b browser, begin string) *url.URL {
			return b.led(b.typed(b.typed(b.get(begin), "bob"), "bob@honest.example"))
		}},
		{"the links of a choice", func(b browser, begin string) *url.URL {
			choice := found(b.typed(b.get(begin), "bob@shared.example").body, `<a class="choice" href="([^"]*)">honest</a>`)
			return b.led(b.get(atAuth + choice))
		}},
		{"a link with the provider", func(b browser, begin string) *url.URL { return b.led(b.get(begin + "&provider=honest")) }},
	} {
		for name, wish := range wishes {
			t.Run(way.name+"/"+name, func(t *testing.T) {
				r := newRig(t, "honest", "evil")
				r.idps["honest"].behave(conduct{claims: say(map[string]any{"auth_time": r.clock.now().Unix()})})
				begin, cookie, err := r.Begin(productHost, "/x", "a=b")
				if err != nil {
					t.Fatal(err)
				}
				b := r.browser()
				b.jar[productHost] = map[string]string{cookie.Name: cookie.Secret}
				at := way.lead(b, begin+"&"+wish.Encode())
				told(t, at, wish)
				enter := b.get(b.answered("honest", at, "bob"))
				if back := b.get(b.led(enter).String()); back.location != "https://"+productHost+"/x?a=b" {
					t.Errorf("and then it leads to %q", back.location)
				}

				at = way.lead(r.browser(), entrance(sentQuery)+"&"+wish.Encode())
				told(t, at, wish)
			})
		}
	}
}

// told compares what the provider is told of the wishes.
func told(t *testing.T, at *url.URL, want url.Values) {
	t.Helper()
	got := at.Query()
	for _, name := range []string{"prompt", "max_age", "acr_values"} {
		if got.Has(name) != want.Has(name) || got.Get(name) != want.Get(name) || len(got[name]) > 1 {
			t.Errorf("the provider is told %s=%q, want %q", name, got[name], want[name])
		}
	}
}

// A session is no way round the question.
func TestPromptLoginAsksWhoIsSignedInToo(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	b.signIn("honest", "bob")
	if got := b.get(atAuth + PathSignIn); got.status != http.StatusSeeOther || got.location != atAuth+PathSession {
		t.Fatalf("without the prompt: %d %q", got.status, got.location)
	}
	if at := b.led(b.get(atAuth + PathSignIn + "?prompt=login")); at.Path != "/authorize" || at.Query().Get("prompt") != "login" {
		t.Errorf("with it: led to %s", at)
	}
}
