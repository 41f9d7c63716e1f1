package signin

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"isogate/extauthz/session"
)

// A fresh sign-in of the same person goes on in the session that there is, with what hangs on it, and tells when the person proved who they
// are. Another person's ends it.
func TestFreshSignInKeepsTheSessionAndItsTimeIsTheProviders(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	b.signIn("honest", "bob")
	before, handle := b.session(authHost), b.jar[authHost][session.SessionCookie]
	r.clock.advance(20 * time.Minute)
	proved := r.clock.now().Add(-7 * time.Second).Truncate(time.Second)
	r.idps["honest"].behave(conduct{claims: say(map[string]any{"auth_time": proved.Unix(), "acr": "mfa"})})
	fresh := func(sub string) response {
		return b.get(b.answered("honest", b.led(b.get(entrance(sentQuery)+"&prompt=login&max_age=0")), sub))
	}

	if got := fresh("bob"); got.location != authorizeURL {
		t.Errorf("led to %q", got.location)
	}
	after := b.session(authHost)
	if after.ID != before.ID || !after.AuthTime.Equal(proved) || after.ACR != "mfa" || !after.SignedIn.Equal(r.clock.now()) {
		t.Errorf("in the same session: %t; proved at %s, want %s; acr %q, signed in %s", after.ID == before.ID, after.AuthTime, proved, after.ACR, after.SignedIn)
	}
	if _, err := r.Sessions.Living(t.Context(), authHost, session.Handle(handle), r.Policies); !errors.Is(err, session.ErrNone) {
		t.Errorf("the handle of before: %v, want that it opens nothing", err)
	}

	if got := fresh("eve"); got.location != authorizeURL {
		t.Errorf("another person is led to %q", got.location)
	}
	if got := b.session(authHost); got.ID == before.ID || got.Email != "eve@honest.example" {
		t.Errorf("another person is in the same session: %t, as %q", got.ID == before.ID, got.Email)
	}
	if _, err := r.Sessions.ByID(t.Context(), before.ID, r.Policies); !errors.Is(err, session.ErrNone) {
		t.Errorf("the session of before: %v, want that there is none", err)
	}
}

// OpenID Connect Core 1.0 sections 3.1.2.1 and 3.1.3.7: who asks for max_age must be told auth_time. A provider that says nothing may have
// asked the person hours ago, unless it was told to ask in any case.
func TestMissingAuthTimeDoesNotCountAsNow(t *testing.T) {
	ago := func(now time.Time, d time.Duration) any { return now.Add(-d).Unix() }
	for _, tt := range []struct {
		name, wish, want string
		authTime         func(now time.Time) any // nil if the token has none
		age              time.Duration           // of the proof then
	}{
		{"not asked, not said", "", "", nil, 0},
		{"not asked, said", "", "", func(now time.Time) any { return ago(now, time.Hour) }, time.Hour},
		{"asked and said", "&max_age=60", "", func(now time.Time) any { return ago(now, 10*time.Second) }, 10 * time.Second},
		{"asked and said, too old: the OAuth server finds out", "&max_age=60", "", func(now time.Time) any { return ago(now, time.Hour) }, time.Hour},
		{"asked, not said", "&max_age=60", "provider-unavailable", nil, 0},
		{"asked, not said, at once", "&max_age=0", "provider-unavailable", nil, 0},
		{"asked, said as nothing", "&max_age=60", "provider-unavailable", func(time.Time) any { return 0 }, 0},
		{"asked, said as before all time", "&max_age=60", "provider-unavailable", func(time.Time) any { return -1 }, 0},
		{"asked in any case, not said", "&max_age=60&prompt=login", "", nil, 0},
		{"asked in any case, said", "&max_age=60&prompt=login", "", func(now time.Time) any { return ago(now, time.Hour) }, time.Hour},
		{"only asked in any case, not said", "&prompt=login", "", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "honest")
			if tt.authTime != nil {
				r.idps["honest"].behave(conduct{claims: say(map[string]any{"auth_time": tt.authTime(r.clock.now())})})
			}
			b := r.browser()
			got := b.get(b.answered("honest", b.led(b.get(entrance(sentQuery)+tt.wish)), "bob"))
			if got.reason() != tt.want || (b.who() == "") != (tt.want != "") {
				t.Fatalf("%d %q, signed in as %q", got.status, got.reason(), b.who())
			}
			if tt.want != "" {
				return
			}
			if age := r.clock.now().Sub(b.session(authHost).AuthTime).Truncate(time.Second); age != tt.age || got.location != authorizeURL {
				t.Errorf("proved %s ago, want %s; led to %q", age, tt.age, got.location)
			}
		})
	}
}

// What a provider was asked stands in the sealed state: taking max_age out of the address on the way there changes nothing.
func TestWhatWasAskedTravelsSealed(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	at := b.led(b.get(entrance(sentQuery) + "&max_age=60"))
	query := at.Query()
	query.Del("max_age")
	query.Set("prompt", "login")
	at.RawQuery = query.Encode()
	if got := b.get(b.answered("honest", at, "bob")); got.reason() != "provider-unavailable" || b.who() != "" {
		t.Errorf("%d %q, signed in as %q", got.status, got.reason(), b.who())
	}
}

func TestHintSparesThePersonTyping(t *testing.T) {
	for _, tt := range []struct {
		name      string
		ids       []string
		in        string // login_hint
		provider  string // that the person is led to; "" where they are asked
		told, box string // what the provider is told, or what stands in the form's box
	}{
		{"one provider, an address", []string{"honest"}, "Bob@HONEST.example", "honest", "Bob@honest.example", ""},
		{"one provider, another's address", []string{"honest"}, "bob@elsewhere.example", "honest", "bob@elsewhere.example", ""},
		{"one provider, no address", []string{"honest"}, "bob", "honest", "", ""},
		{"one provider, several addresses", []string{"honest"}, "bob@honest.example,eve@evil.example", "honest", "", ""},
		{"one provider, a line break", []string{"honest"}, "bob@honest.example\r\nx", "honest", "", ""},
		{"one provider, nothing", []string{"honest"}, "", "honest", "", ""},
		{"an address of one of several", []string{"honest", "evil"}, "bob@evil.example", "evil", "bob@evil.example", ""},
		{"an address of two of several", []string{"honest", "evil"}, "bob@shared.example", "", "", "bob@shared.example"},
		{"an address of nobody", []string{"honest", "evil"}, "bob@elsewhere.example", "", "", "bob@elsewhere.example"},
		{"several, no address", []string{"honest", "evil"}, `"><script>`, "", "", ""},
		{"several, nothing", []string{"honest", "evil"}, "", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.ids...)
			got := r.browser().get(entrance(sentQuery) + "&login_hint=" + url.QueryEscape(tt.in))
			if tt.provider == "" {
				if box := found(got.body, `<input [^>]*type="email"[^>]* value="([^"]*)"`); got.status != http.StatusOK || box != tt.box {
					t.Errorf("%d, the form shows %q, want %q", got.status, box, tt.box)
				}
				return
			}
			at := r.browser().led(got)
			if hint := at.Query().Get("login_hint"); "https://"+at.Host != r.idps[tt.provider].URL || hint != tt.told || at.Query().Has("login_hint") != (tt.told != "") {
				t.Errorf("led to %s with the hint %q, want %q", at.Host, hint, tt.told)
			}
		})
	}
}

// Who types another address than the hint is that person, at the links of a choice too.
func TestTypedAddressIsTheHint(t *testing.T) {
	r := newRig(t, "honest", "evil")
	b := r.browser()
	form := b.get(entrance(sentQuery) + "&login_hint=bob%40shared.example")
	if at := b.led(b.typed(form, "eve@honest.example")); at.Query().Get("login_hint") != "eve@honest.example" {
		t.Errorf("the provider is told %q", at.Query().Get("login_hint"))
	}
	choice := found(b.typed(form, "eve@shared.example").body, `<a class="choice" href="([^"]*)">honest</a>`)
	if at := b.led(b.get(atAuth + choice)); at.Query().Get("login_hint") != "eve@shared.example" {
		t.Errorf("by a choice the provider is told %q", at.Query().Get("login_hint"))
	}
}

// What is asked of the provider reaches no store, nor does what it was asked for.
func TestWishesReachNoStore(t *testing.T) {
	r := newRig(t, "honest")
	r.idps["honest"].behave(conduct{claims: say(map[string]any{"auth_time": r.clock.now().Unix(), "name": "CANARYNAME"})})
	begin, cookie, err := r.Begin(productHost, "/x", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{begin, entrance("client_id=commercial&request_uri=CANARYREQUEST&returned=CANARYRETURNED")} {
		b := r.browser()
		b.jar[productHost] = map[string]string{cookie.Name: cookie.Secret}
		b.get(b.answered("honest", b.led(b.get(address+"&acr_values=CANARYACR&max_age=1876543219&login_hint=canary%40elsewhere.example")), "bob"))
		if b.who() != "bob@honest.example" {
			t.Fatalf("signed in as %q", b.who())
		}
	}
	if !readable(stored(t, r), "CANARYNAME") {
		t.Fatal("the store does not hold the session")
	}
	unreadable(t, r, map[string]string{"acr_values": "CANARYACR", "max_age": "1876543219", "hint": "canary@elsewhere", "request_uri": "CANARYREQUEST", "returned": "CANARYRETURNED"})
}
