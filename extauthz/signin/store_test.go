package signin

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/kv"
	"isogate/extauthz/session"
)

// readable tells whether bytes hold a text: as it is, in hexadecimal, or anywhere inside what is encoded in base64 of either alphabet.
func readable(raw []byte, text string) bool {
	forms := []string{text, hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text)))}
	for before := range 3 { // a text may begin at each byte of a group of three
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := alphabet.EncodeToString(append(make([]byte, before), text...))
			first, last := (8*before+5)/6, 8*(before+len(text))/6 // characters that hold bits of the text alone
			forms = append(forms, encoded[first:last])
		}
	}
	return slices.ContainsFunc(forms, func(form string) bool { return bytes.Contains(raw, []byte(form)) })
}

func stored(t *testing.T, r *rig) []byte {
	t.Helper()
	raw, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Whoever steals the file of the store can read who is signed in, and can do nothing with it: neither continue a session, nor come in as
// somebody, nor use what a product had in its query.
func TestStoreFileHoldsNothingThatOpensADoor(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	b.begin("honest") // another tab's
	begin, cookie, err := r.Begin(productHost, "/oauth/cb", "code=PRODUCTSECRETCODE&state=PRODUCTSECRETSTATE")
	if err != nil {
		t.Fatal(err)
	}
	b.jar[productHost] = map[string]string{cookie.Name: cookie.Secret}
	at := b.led(b.get(begin))
	flows := b.copied().jar[authHost]
	answer, err := url.Parse(b.answered("honest", at, "bob"))
	if err != nil {
		t.Fatal(err)
	}
	enter := b.led(b.get(answer.String()))
	token := strings.Split(r.idps["honest"].lastToken(t), ".")
	secrets := map[string]string{
		"target's path": "/oauth/cb", "target's code": "PRODUCTSECRETCODE", "target's state": "PRODUCTSECRETSTATE",
		"ID token": strings.Join(token, "."), "ID token's claims": token[1], "ID token's signature": token[2], "nonce": at.Query().Get("nonce"),
		"provider's code": answer.Query().Get("code"), "state": at.Query().Get("state"), "ticket": enter.Query().Get("ticket"),
		"product's flow cookie": cookie.Secret, "auth host's handle": b.jar[authHost][session.SessionCookie],
	}
	for name, secret := range flows {
		secrets["cookie "+name] = secret
	}
	if kept := keptValues(t, r, "t/"); len(kept) != 1 || !readable(stored(t, r), kept[0]) {
		t.Fatalf("%d tickets wait in the file", len(kept))
	}
	if kept := keptValues(t, r, "i/"); len(kept) != 1 || !readable(stored(t, r), kept[0]) {
		t.Fatalf("%d ID tokens wait in the file", len(kept))
	}
	unreadable(t, r, secrets)

	if back := b.get(enter.String()); back.location != "https://"+productHost+"/oauth/cb?code=PRODUCTSECRETCODE&state=PRODUCTSECRETSTATE" {
		t.Fatalf("the ticket leads to %q", back.location)
	}
	secrets["product's handle"] = b.jar[productHost][session.SessionCookie]
	unreadable(t, r, secrets)
	b.post(atAuth+PathLogout, url.Values{})
	unreadable(t, r, secrets)
}

func keptValues(t *testing.T, r *rig, prefix string) (values []string) {
	t.Helper()
	items, err := r.bolt.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range items {
		values = append(values, string(item.Value))
	}
	return values
}

func unreadable(t *testing.T, r *rig, secrets map[string]string) {
	t.Helper()
	raw := stored(t, r)
	for name, secret := range secrets {
		if len(secret) < 8 {
			t.Fatalf("%s: %q is no secret to look for", name, secret)
		}
		if readable(raw, secret) {
			t.Errorf("%s is readable in the file of the store", name)
		}
	}
}

// The search above finds what is there.
func TestReadableFindsWhatIsThere(t *testing.T) {
	r := newRig(t)
	const canary = "CANARY?>of~the/store"
	for i, value := range []string{
		canary, "x" + base64.StdEncoding.EncodeToString([]byte(canary)), base64.URLEncoding.EncodeToString([]byte("x" + canary + "y")),
		base64.RawStdEncoding.EncodeToString([]byte("xx" + canary)), hex.EncodeToString([]byte(canary)),
	} {
		r.file = t.TempDir() + "/db"
		store, err := kv.OpenBolt(r.file, r.clock.now)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		if readable(stored(t, r), canary) {
			t.Errorf("%d: found in an empty store", i)
		}
		if err := store.Put(t.Context(), kv.Item{Key: "x", Value: []byte(value), Expires: r.clock.now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if !readable(stored(t, r), canary) {
			t.Errorf("%d: not found", i)
		}
	}
}

// A ticket that somebody writes into the store, or puts in another's place, opens nothing.
func TestTicketOfTheStoreMustBeSealedAsOne(t *testing.T) {
	r := newRig(t, "honest")
	b := r.browser()
	b.signIn("honest", "bob")
	cookie := session.NewFlowCookie(r.clock.now())
	b.jar[productHost] = map[string]string{cookie.Name: cookie.Secret}
	made := ticket{Session: b.session(authHost).ID, Host: productHost, Proof: proof(cookie.Secret), Target: "/x"}
	seal := func(purpose string) string {
		text, err := r.seal(purpose, made)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	plain := `{"s":"` + made.Session + `","h":"` + made.Host + `","v":"` + made.Proof + `","t":"/x"}`
	for _, tt := range []struct {
		name, value string
		enters      bool
	}{
		{"in clear", plain, false}, {"sealed as a flow", seal("flow"), false}, {"sealed as a state", seal("state"), false},
		{"sealed as a way to the provider", seal("leave"), false}, {"flipped", flipped(seal("ticket"), 40), false}, {"as it should be", seal("ticket"), true},
	} {
		secret := bytes.Repeat([]byte{7}, 32)
		if err := r.bolt.Put(t.Context(), kv.Item{Key: ticketKey(secret), Value: []byte(tt.value), Expires: r.clock.now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		got := b.get("https://" + productHost + PathEnter + "?ticket=" + b64.EncodeToString(secret))
		if entered := b.session(productHost).ID != ""; entered != tt.enters || !entered && got.reason() != "start-again" {
			t.Errorf("%s: %d %q, entered %t", tt.name, got.status, got.reason(), entered)
		}
	}
}
