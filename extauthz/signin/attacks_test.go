package signin

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"testing"
)

// The mix-up attack (RFC 9700 section 4.4): the victim begins at a provider of the file that is evil; it passes the browser on to the honest
// one, with the nonce and the challenge of a sign-in that the attacker began there. If our callback took the answer for the evil provider's,
// it would hand it the code, and the attacker's own sign-in would redeem it.
func TestMixUpBetweenProviders(t *testing.T) {
	for _, tt := range []struct {
		name               string
		honest, evil       bool // whether it names itself in its answers (RFC 9207)
		honestURI, evilURI string
	}{
		{"neither names itself", false, false, ownURI("honest"), ownURI("evil")},
		{"the honest one names itself", true, false, plainURI, ownURI("evil")},
		{"the evil one names itself", false, true, ownURI("honest"), plainURI},
		{"both name themselves", true, true, plainURI, plainURI},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "honest", "evil")
			r.idps["honest"].behave(conduct{names: tt.honest})
			r.idps["evil"].behave(conduct{names: tt.evil})
			mixUp(t, r, plainURI) // it may still be registered, from when the honest one was alone
			mixUp(t, r, ownURI("honest"))
			for id, uri := range map[string]string{"honest": tt.honestURI, "evil": tt.evilURI} {
				truthful(t, r, id, uri)
			}
		})
	}
}

func mixUp(t *testing.T, r *rig, redirect string) {
	t.Helper()
	honest, evil, attacker, victim := r.idps["honest"], r.idps["evil"], r.browser(), r.browser()
	atHonest, atEvil := attacker.begin("honest"), victim.begin("evil")
	own := atHonest.Query().Get("state")
	passedOn := *atHonest
	query := passedOn.Query()
	query.Set("state", atEvil.Query().Get("state"))
	query.Set("redirect_uri", redirect)
	passedOn.RawQuery = query.Encode()
	answer, err := honest.authorize(&passedOn, "ceo")
	if err != nil {
		t.Fatal(err)
	}
	if got := victim.get(answer); got.status != http.StatusBadRequest || got.reason() != "start-again" {
		t.Errorf("%s: the victim's callback says %d %q", redirect, got.status, got.reason())
	}
	if stolen := evil.codes(); len(stolen) != 0 {
		t.Errorf("%s: the evil provider was handed %d codes of the honest one", redirect, len(stolen))
	}
	for _, code := range evil.codes() {
		attacker.get(atHonest.Query().Get("redirect_uri") + joint(atHonest) + url.Values{"code": {code}, "state": {own}, "iss": {honest.URL}}.Encode())
	}
	if attacker.who() != "" || victim.who() != "" {
		t.Errorf("%s: the attacker's browser is signed in as %q, the victim's as %q", redirect, attacker.who(), victim.who())
	}
}

// joint is what stands between an address's redirect URI and more parameters.
func joint(at *url.URL) string {
	if at.Query().Get("redirect_uri") == plainURI {
		return "?"
	}
	return "&"
}

func truthful(t *testing.T, r *rig, id, uri string) {
	t.Helper()
	b := r.browser()
	at := b.begin(id)
	if got := at.Query().Get("redirect_uri"); got != uri {
		t.Errorf("%s is told to answer at %q, want %q", id, got, uri)
	}
	b.get(b.answered(id, at, "bob"))
	if got := b.who(); got != "bob@"+id+".example" {
		t.Errorf("a truthful sign-in at %s: signed in as %q", id, got)
	}
}

// A provider that stands alone keeps the redirect URI that is registered everywhere.
func TestOneProviderAloneAnswersAtThePlainRedirectURI(t *testing.T) {
	for _, names := range []bool{false, true} {
		r := newRig(t, "honest")
		r.idps["honest"].behave(conduct{names: names})
		truthful(t, r, "honest", plainURI)
	}
}

// answerCase changes one truthful answer, which is refused with a reason then, or accepted where that is "".
type answerCase struct {
	name, want string
	change     func(q url.Values)
}

func TestCallbackTakesOnlyTheAnswerOfItsProvider(t *testing.T) {
	add := func(name, value string) func(url.Values) { return func(q url.Values) { q.Add(name, value) } }
	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	del := func(name string) func(url.Values) { return func(q url.Values) { q.Del(name) } }
	twice := func(name string) func(url.Values) { return func(q url.Values) { q.Add(name, q.Get(name)) } }
	keep := func(url.Values) {}
	const again, bad = "start-again", "bad-request"

	for _, group := range []struct {
		name  string
		ids   []string
		names bool
		cases []answerCase
	}{
		{"with a redirect URI of its own", []string{"honest", "evil"}, false, []answerCase{
			{"as it is", "", keep}, {"provider doubled", bad, twice("provider")}, {"two providers", bad, add("provider", "evil")},
			{"another's", again, set("provider", "evil")}, {"of nobody", again, set("provider", "nobody")}, {"provider absent", again, del("provider")},
			{"provider empty", again, set("provider", "")}, {"another spelling", again, set("provider", "HONEST")}, {"names another issuer", again, set("iss", "https://evil.example")},
			{"names an empty issuer", again, set("iss", "")},
		}},
		{"naming itself", []string{"honest", "evil"}, true, []answerCase{
			{"as it is", "", keep}, {"provider added", again, set("provider", "honest")}, {"another's added", again, set("provider", "evil")},
			{"issuer absent", again, del("iss")}, {"issuer doubled", bad, twice("iss")}, {"another issuer", again, set("iss", "https://evil.example")},
			{"issuer absent, provider instead", again, func(q url.Values) { q.Del("iss"); q.Set("provider", "honest") }},
		}},
		{"alone", []string{"honest"}, false, []answerCase{
			{"as it is", "", keep}, {"provider added", again, set("provider", "honest")}, {"another's added", again, set("provider", "evil")},
			{"code absent", again, del("code")}, {"code empty", again, set("code", "")}, {"code doubled", bad, twice("code")},
			{"state absent", again, del("state")}, {"state doubled", bad, twice("state")}, {"state cut", again, func(q url.Values) { q.Set("state", q.Get("state")[1:]) }},
			{"state with a flipped bit", again, func(q url.Values) { q.Set("state", flipped(q.Get("state"), len(q.Get("state"))/2)) }}, {"state empty", again, set("state", "")},
			{"the code in the state's place", again, func(q url.Values) { q.Set("state", q.Get("code")) }}, {"an authorize query beside the state", "", set("authorize", "client_id=evil")},
			{"an error beside the code", "provider-refused", set("error", "access_denied")}, {"error doubled", bad, func(q url.Values) { q["error"] = []string{"", ""} }},
		}},
	} {
		r := newRig(t, group.ids...)
		r.idps["honest"].behave(conduct{names: group.names})
		for _, tt := range group.cases {
			t.Run(group.name+"/"+tt.name, func(t *testing.T) { callback(t, r, atAuth+PathSignIn+"?provider=honest", tt) })
			t.Run(group.name+"/from the OAuth server/"+tt.name, func(t *testing.T) { callback(t, r, entrance(sentQuery)+"&provider=honest", tt) })
		}
	}
}

func callback(t *testing.T, r *rig, begin string, tt answerCase) {
	b := r.browser()
	answer, err := url.Parse(b.answered("honest", b.led(b.get(begin)), "bob"))
	if err != nil {
		t.Fatal(err)
	}
	query := answer.Query()
	tt.change(query)
	answer.RawQuery = query.Encode()
	before := len(r.idps["honest"].codes())
	got := b.get(answer.String())
	handed := len(r.idps["honest"].codes()) - before
	if tt.want == "" {
		if b.who() != "bob@honest.example" || handed != 1 {
			t.Errorf("a truthful answer: %d %q, signed in as %q", got.status, got.reason(), b.who())
		}
		return
	}
	if got.reason() != tt.want || b.who() != "" {
		t.Errorf("%d %q, signed in as %q; want %q and nobody", got.status, got.reason(), b.who(), tt.want)
	}
	if handed != 0 {
		t.Error("the code was redeemed before the answer was looked at")
	}
}

// An answer works in the browser that began, and once (CVE-2022-39222).
func TestAnswerIsBoundToItsBrowserAndWorksOnce(t *testing.T) {
	r := newRig(t, "honest")
	mallory, victim := r.browser(), r.browser()
	victim.begin("honest") // the victim has a flow cookie too, of another sign-in
	answer := mallory.answered("honest", mallory.begin("honest"), "mallory")
	if got := victim.get(answer); got.reason() != "start-again" || victim.who() != "" {
		t.Errorf("another's answer: %d %q, signed in as %q", got.status, got.reason(), victim.who())
	}
	if codes := r.idps["honest"].codes(); len(codes) != 0 {
		t.Error("another's answer was redeemed")
	}
	mallory.get(answer)
	if mallory.who() != "mallory@honest.example" {
		t.Fatalf("in its own browser: signed in as %q", mallory.who())
	}
	replayed := r.browser()
	if got := replayed.get(answer); got.reason() != "start-again" || replayed.who() != "" {
		t.Errorf("replayed: %d %q, signed in as %q", got.status, got.reason(), replayed.who())
	}
	if codes := r.idps["honest"].codes(); len(codes) != 1 {
		t.Errorf("the code was redeemed %d times", len(codes))
	}
}

// The fake provider refuses what a real one does; without that, the tests above would prove little.
func TestFakeProviderIsStrict(t *testing.T) {
	r := newRig(t, "honest", "evil")
	b := r.browser()
	at := b.begin("honest")
	foreign := *at
	query := foreign.Query()
	query.Set("redirect_uri", ownURI("evil"))
	foreign.RawQuery = query.Encode()
	if _, err := r.idps["honest"].authorize(&foreign, "bob"); !errors.Is(err, errRedirectURI) {
		t.Errorf("another's redirect URI: %v", err)
	}
	query = at.Query()
	query.Set("code_challenge", "another")
	foreign.RawQuery = query.Encode()
	if got := b.get(b.answered("honest", &foreign, "bob")); got.reason() != "start-again" || b.who() != "" {
		t.Errorf("another's challenge: %d %q, signed in as %q", got.status, got.reason(), b.who())
	}
	if codes := r.idps["honest"].codes(); len(codes) != 1 || slices.Contains(codes, "") {
		t.Errorf("the token endpoint was sent %d codes", len(codes))
	}
}
