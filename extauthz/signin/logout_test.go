package signin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// maxAddress is the longest path and query that the check passes on, in bytes.
const maxAddress = 8 << 10

// groups are as many as asked for, of the form in which large directories list them.
func groups(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%08d-aaaa-bbbb-cccc-0123456789ab", i)
	}
	return all
}

// signedOut presses the button, and gives the address of ours that leads on to the provider.
func (b browser) signedOut(t *testing.T) *url.URL {
	t.Helper()
	pressed := b.post(atAuth+PathLogout, url.Values{})
	if pressed.status != http.StatusOK || b.who() != "" {
		t.Fatalf("signing out: %d %q, still signed in as %q", pressed.status, pressed.reason(), b.who())
	}
	leave := b.led(pressed)
	if !strings.HasPrefix(leave.String(), atAuth+PathLogout+"?leave=") {
		t.Fatalf("signing out leads to %s", leave)
	}
	return leave
}

// A person in many groups has a long ID token. The address that carries it on must stay one that every part of the way takes; where it would
// not, the provider is reached without it.
func TestSignOutReachesTheProviderHoweverLongTheIDToken(t *testing.T) {
	r := newRig(t, "honest")
	for _, tt := range []struct {
		groups int
		hint   bool
	}{{0, true}, {50, true}, {100, false}, {120, false}, {maxGroups, false}} {
		t.Run(fmt.Sprint(tt.groups), func(t *testing.T) {
			r.idps["honest"].behave(conduct{end: "/end", claims: say(map[string]any{"groups": groups(tt.groups)})})
			b := r.browser()
			if b.signIn("honest", "bob"); len(b.session(authHost).Groups) != tt.groups {
				t.Fatalf("signed in with %d groups", len(b.session(authHost).Groups))
			}
			leave := b.signedOut(t)
			if size := len(leave.RequestURI()); size > maxAddress {
				t.Errorf("the way to the provider is %d bytes long", size)
			}
			want := url.Values{"client_id": {clientID}, "post_logout_redirect_uri": {atAuth + PathLogout}}
			if tt.hint {
				want.Set("id_token_hint", r.idps["honest"].lastToken(t))
			}
			end := b.led(b.get(leave.String()))
			if got := "https://" + end.Host + end.Path; got != r.idps["honest"].URL+"/end" {
				t.Errorf("led to %s", got)
			}
			if diff := cmp.Diff(want, end.Query()); diff != "" {
				t.Errorf("the provider is told (-want +got)\n%s", diff)
			}
		})
	}
}

// OpenID Connect RP-Initiated Logout 1.0 section 2: parameters are added to what the endpoint's address has.
func TestEndpointKeepsItsOwnQuery(t *testing.T) {
	for _, tt := range []struct {
		name, end string
		want      url.Values // beside our own parameters
	}{
		{"none", "/end", url.Values{}}, {"one parameter", "/end?p=policy1", url.Values{"p": {"policy1"}}},
		{"escaped ones, and one twice", "/end?p=a%26b%3Dc&q=1&q=2", url.Values{"p": {"a&b=c"}, "q": {"1", "2"}}},
		{"ours is not doubled", "/end?client_id=another&p=1", url.Values{"p": {"1"}}}, {"an empty query", "/end?", url.Values{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "honest")
			r.idps["honest"].behave(conduct{end: tt.end})
			b := r.browser()
			b.signIn("honest", "bob")
			end := b.led(b.get(b.signedOut(t).String()))
			tt.want.Set("client_id", clientID)
			tt.want.Set("post_logout_redirect_uri", atAuth+PathLogout)
			tt.want.Set("id_token_hint", r.idps["honest"].lastToken(t))
			if diff := cmp.Diff(tt.want, end.Query()); diff != "" || strings.Count(end.String(), "?") != 1 || end.Path != "/end" {
				t.Errorf("%s (-want +got)\n%s", end, diff)
			}
		})
	}
}

// Whoever comes with another value than the one that the sign-out just made is led to no provider: not with a token of before, nor with a value
// that was sealed for something else.
func TestOnlyAFreshLeaveValueLeadsToTheProvider(t *testing.T) {
	r := newRig(t, "honest")
	r.idps["honest"].behave(conduct{end: "/end"})
	b := r.browser()
	b.signIn("honest", "bob")
	leave := b.signedOut(t).Query().Get("leave")
	fresh := leaving{Provider: "honest", Hint: "token", Expires: r.clock.now().Add(time.Minute).Unix()}
	gone := fresh
	gone.Provider = "former"
	sealed := func(purpose string, value leaving) string {
		text, err := r.seal(purpose, value)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	cases := map[string]string{"empty": "", "garbage": "garbage", "cut": leave[1:], "longer": leave + "A", "of a provider that is gone": sealed(purposeLeave, gone)}
	for at := 0; at < len(leave); at += len(leave) / 16 {
		cases[fmt.Sprintf("flipped at %d", at)] = flipped(leave, at)
	}
	for _, purpose := range []string{"flow", "state", "ticket", "id_token", ""} {
		cases["sealed as "+purpose] = sealed(purpose, fresh)
	}
	bound := r.Flows
	bound.Site.Name = "another-cloud"
	cases["of another cloud"], _ = bound.seal(purposeLeave, fresh)
	for name, value := range cases {
		t.Run(name, func(t *testing.T) { plainlySignedOut(t, b, value) })
	}

	r.clock.advance(59 * time.Second)
	for name, value := range map[string]string{"the browser's own": leave, "made here": sealed(purposeLeave, fresh)} {
		if at := b.led(b.get(leaveAddress(value))); at.Path != "/end" {
			t.Errorf("%s, just in time: led to %s", name, at)
		}
	}
	r.clock.advance(time.Second)
	plainlySignedOut(t, b, leave)
	plainlySignedOut(t, b, sealed(purposeLeave, fresh))
}

func leaveAddress(value string) string {
	return atAuth + PathLogout + "?leave=" + url.QueryEscape(value)
}

// plainlySignedOut follows a value to the page that says so, on this very host.
func plainlySignedOut(t *testing.T, b browser, value string) {
	t.Helper()
	got := b.get(leaveAddress(value))
	if got.status != http.StatusSeeOther || got.location != atAuth+PathLogout {
		t.Fatalf("%d, led to %q", got.status, got.location)
	}
	if page := b.get(got.location); page.status != http.StatusOK || !strings.Contains(page.body, "You are signed out") {
		t.Errorf("and there: %d %q", page.status, page.reason())
	}
}

// flipped changes the lowest bit of one base64url character's value.
func flipped(text string, at int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return text[:at] + string(alphabet[strings.IndexByte(alphabet, text[at])^1]) + text[at+1:]
}

// Without an endpoint at the provider, or with a provider that does not answer, the sign-out here is complete and says so.
func TestSignOutWithoutTheProviderSaysSo(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  string
		away bool
	}{{"no endpoint", "", false}, {"the provider is away", "/end", true}} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "honest")
			r.idps["honest"].behave(conduct{end: tt.end})
			b := r.browser()
			b.signIn("honest", "bob")
			old := b.copied()
			if tt.away {
				r.clock.advance(freshFor)
				r.idps["honest"].Close()
			}
			if got := b.post(atAuth+PathLogout, url.Values{}); got.status != http.StatusOK || !strings.Contains(got.body, "You are signed out") {
				t.Errorf("%d %q", got.status, got.reason())
			}
			if b.who() != "" || old.who() != "" {
				t.Errorf("signed in as %q, by the old cookie as %q", b.who(), old.who())
			}
		})
	}
}
