package idp

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoginClaims(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name  string
		user  User
		scope string
		want  map[string]any
	}{
		{"with a second factor", alice, "openid email profile groups", map[string]any{
			"acr": ACRMFA, "amr": []any{"pwd", "otp"}, "email": "alice@corp.example", "email_verified": true,
			"name": "Alice Example", "groups": []any{"engineering", "oncall"}}},
		{"password only, address not verified, no groups", bob, "openid email profile groups", map[string]any{
			"acr": ACRPassword, "amr": []any{"pwd"}, "email": "bob@corp.example", "email_verified": false,
			"name": "Bob Example", "groups": []any{}}},
		{"only what the scopes ask for", alice, "openid", map[string]any{"acr": ACRMFA, "amr": []any{"pwd", "otp"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := time.Now().Unix()
			answer := w.signIn(w.browser(), tt.user, "scope", tt.scope)
			if got := answer.answer.Query(); got.Get("iss") != w.issuer || got.Get("state") != "state-1" {
				t.Errorf("iss, state = %q, %q", got.Get("iss"), got.Get("state"))
			}
			token, id, claims := w.redeem(answer)
			if err := id.VerifyAccessToken(token.AccessToken); err != nil {
				t.Error(err)
			}
			if at := int64(claims["auth_time"].(float64)); at < before || at > time.Now().Unix() {
				t.Errorf("auth_time = %d, want now", at)
			}
			if id.Nonce != "nonce-1" || id.Subject != Subject(tt.user.Username) || claims["sid"] == "" {
				t.Errorf("nonce %q sub %q sid %v", id.Nonce, id.Subject, claims["sid"])
			}
			for _, known := range []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "sid", "at_hash", "c_hash", "azp", "client_id"} {
				delete(claims, known)
			}
			if diff := cmp.Diff(tt.want, claims); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSubjectIsOpaqueAndStable(t *testing.T) {
	if got := Subject("alice"); got != Subject("alice") || got == Subject("bob") || strings.Contains(got, "alice") || len(got) != 22 {
		t.Errorf("subject = %q", got)
	}
}

func TestPagesAreAccessible(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.open(w.start("login_hint", `"><b>x`))
	if got := first.inputs["username"]; got != `"><b>x` {
		t.Errorf("hinted user name = %q", got)
	}
	second := b.submit(first, password(alice))
	for name, tt := range map[string]struct {
		page page
		want []string
	}{"password": {first, []string{"username", "password"}}, "code": {second, []string{"code"}}} {
		if !slices.Equal(tt.page.visible, tt.want) || tt.page.submits != 1 {
			t.Errorf("%s: inputs %v, %d submit buttons", name, tt.page.visible, tt.page.submits)
		}
		for _, id := range tt.page.visible {
			if !tt.page.labels[id] {
				t.Errorf("%s: input %q has no label", name, id)
			}
		}
		if strings.Contains(tt.page.text, "<script") || !strings.Contains(tt.page.text, "viewport") {
			t.Errorf("%s: script, or no viewport", name)
		}
		if csp := tt.page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: policy %q", name, csp)
		}
	}
	if style := b.open(w.issuer + stylePath); style.status != 200 || !strings.HasPrefix(style.header.Get("Content-Type"), "text/css") {
		t.Errorf("style: %d %q", style.status, style.header.Get("Content-Type"))
	}
}

// Whoever tries user names must not learn which exist: the pages are the same to the byte.
func TestWrongPasswordAndUnknownUserLookTheSame(t *testing.T) {
	w := newWorld(t)
	var texts []string
	for _, name := range []string{"alice", "nobody"} {
		b := w.browser()
		p := b.submit(b.open(w.start()), map[string]string{"username": name, "password": "wrong"})
		if p.status != 200 || !strings.Contains(p.text, "Wrong user name or password.") {
			t.Errorf("%s: %d %s", name, p.status, p.text)
		}
		texts = append(texts, strings.NewReplacer(name, "NAME", p.inputs["request"], "REQUEST").Replace(p.text))
	}
	if diff := cmp.Diff(texts[0], texts[1]); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyPasswordOfUnknownUserIsWrong(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	p := b.submit(b.open(w.start()), map[string]string{"username": "nobody", "password": ""})
	if p.answer != nil || !strings.Contains(p.text, "Wrong user name or password.") {
		t.Errorf("%d %v", p.status, p.answer)
	}
}

func TestWrongCode(t *testing.T) {
	w := newWorld(t)
	old := w.code()
	w.advance(5 * time.Minute)
	for name, code := range map[string]string{"empty": "", "letters": "abcdef", "old": old} {
		t.Run(name, func(t *testing.T) {
			b := w.browser()
			p := b.submit(b.submit(b.open(w.start()), password(alice)), map[string]string{"code": code})
			if p.status != 200 || p.answer != nil || !strings.Contains(p.text, "Wrong code.") {
				t.Fatalf("%d %v %s", p.status, p.answer, p.text)
			}
			w.wantCode(b.submit(p, map[string]string{"code": w.code()}))
		})
	}
}

// A code without the password before it is worth nothing.
func TestCodeAloneDoesNotSignIn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.open(w.start())
	first.inputs["code"] = ""
	p := b.submit(first, map[string]string{"username": "alice", "code": w.code()})
	if _, asksPassword := p.inputs["password"]; p.answer != nil || !asksPassword {
		t.Errorf("%d %v %s", p.status, p.answer, p.text)
	}
}

func TestTooManyTries(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name  string
		wrong []map[string]string
	}{
		{"passwords", slices.Repeat([]map[string]string{{"username": "alice", "password": "no"}}, 5)},
		{"codes, with the right password in between", []map[string]string{
			{"username": "alice", "password": "no"}, password(alice), {"code": "no"}, {"code": "no"}, password(alice), {"code": "no"}, {"code": "no"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := w.browser()
			first := b.open(w.start())
			var p page
			for i, fill := range tt.wrong {
				if p.status == http.StatusForbidden {
					t.Fatalf("locked after %d steps", i)
				}
				form := first
				form.inputs = map[string]string{"request": first.inputs["request"], "code": "", "username": "", "password": ""}
				if fill["code"] == "" {
					delete(form.inputs, "code")
				}
				p = b.submit(form, fill)
			}
			if p.status != http.StatusForbidden || !strings.Contains(p.text, "start again") {
				t.Fatalf("after five wrong tries: %d %s", p.status, p.text)
			}
			if p = b.submit(first, password(alice)); p.status != http.StatusBadRequest {
				t.Errorf("the locked request still answers %d", p.status)
			}
			w.signIn(b, alice)
		})
	}
}

func TestGuessesSideBySideAreCounted(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.open(w.start())
	form := url.Values{"request": {first.inputs["request"]}, "username": {"alice"}, "password": {"no"}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	asked := 0
	for range 20 {
		wg.Go(func() {
			res, err := b.client.PostForm(w.issuer+loginPath, form)
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			if res.StatusCode == 200 {
				asked++
			}
		})
	}
	wg.Wait()
	if asked > maxTries-1 {
		t.Errorf("%d of 20 guesses were answered with another try, want at most %d", asked, maxTries-1)
	}
}

// Somebody begins a sign-in and has another person finish it: neither the page nor the code is had without the first browser.
func TestRequestBelongsToItsBrowser(t *testing.T) {
	w := newWorld(t)
	attacker, victim := w.browser(), w.browser()
	w.signIn(victim, bob)
	link := attacker.open(w.start())
	if p := victim.open(link.url.String()); p.status != http.StatusBadRequest || p.answer != nil {
		t.Errorf("the victim's browser answered %d %v", p.status, p.answer)
	}
	if p := attacker.open(w.issuer + callbackPath + "?id=" + link.inputs["request"]); p.answer != nil && p.answer.Query().Get("code") != "" {
		t.Errorf("a code for nobody: %v", p.answer)
	}
}

func TestRequestExpires(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.open(w.start())
	w.advance(requestLife)
	if p := b.submit(first, password(bob)); p.status != http.StatusBadRequest {
		t.Errorf("status = %d", p.status)
	}
}

func TestTabsSideBySide(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	one, two := b.open(w.start("state", "one")), b.open(w.start("state", "two"))
	for state, p := range map[string]page{"one": b.submit(one, password(bob)), "two": b.submit(two, password(bob))} {
		w.wantCode(p)
		if got := p.answer.Query().Get("state"); got != state {
			t.Errorf("state = %q, want %q", got, state)
		}
	}
}

func TestSetUser(t *testing.T) {
	w := newWorld(t)
	changed := bob
	changed.Email, changed.Groups = "robert@corp.example", []string{"finance"}
	if err := w.p.SetUser(changed); err != nil {
		t.Fatal(err)
	}
	_, _, claims := w.redeem(w.signIn(w.browser(), changed))
	if claims["email"] != "robert@corp.example" || claims["sub"] != Subject("bob") || !cmp.Equal(claims["groups"], []any{"finance"}) {
		t.Errorf("claims = %v", claims)
	}
	if err := w.p.SetUser(User{Username: "x", Password: "y", TOTP: "not base32!"}); err == nil {
		t.Error("a broken TOTP secret was accepted")
	}
}
