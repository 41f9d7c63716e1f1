package idp

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// maxTries is how many wrong passwords and codes one sign-in may see before it must be started again.
const maxTries = 5

const (
	sessionCookie = "idp_session"
	requestCookie = "idp_login_" // and the request's id: tabs that sign in side by side do not disturb each other
)

func loginURL(id string) string { return loginPath + "?request=" + url.QueryEscape(id) }

// serveLogin is the page of one request: it passes at once with a good session, else asks for password and then code.
func (p *Provider) serveLogin(w http.ResponseWriter, r *http.Request) {
	req, ok := p.ownRequest(r, r.FormValue("request"))
	switch {
	case !ok:
		showFailure(w, http.StatusBadRequest, staleText)
	case r.Method == http.MethodGet:
		p.openLogin(w, r, req)
	case r.Method != http.MethodPost:
		showFailure(w, http.StatusMethodNotAllowed, "This page is used by GET and POST only.")
	case r.PostForm.Has("code"):
		p.checkCode(w, r, req)
	default:
		p.checkPassword(w, r, req)
	}
}

func (p *Provider) openLogin(w http.ResponseWriter, r *http.Request, req authRequest) {
	session, ok := p.session(r)
	person, known := p.people.get(session.username)
	switch {
	case req.Done():
		p.backToLibrary(w, r, req.id)
	case req.passed != "": // somebody is half-way in, perhaps another person than the one whose session lives
		showCode(w, req, "")
	case ok && known && req.accepts(session, person, p.now()):
		p.finish(w, r, req, session)
	case req.silent:
		p.refuse(w, r, req, oidc.ErrLoginRequired())
	default:
		showPassword(w, req, req.loginHint, "")
	}
}

// checkPassword has one answer for an unknown user and a wrong password.
func (p *Provider) checkPassword(w http.ResponseWriter, r *http.Request, req authRequest) {
	username := r.PostFormValue("username")
	req, ok := p.try(w, req)
	if !ok {
		return
	}
	u, ok := p.people.authenticate(username, r.PostFormValue("password"))
	switch {
	case !ok && req.tries >= maxTries:
		p.lock(w, req)
	case !ok:
		showPassword(w, req, username, "Wrong user name or password.")
	case u.TOTP != "":
		p.store.requests.update(req.id, func(x *authRequest) { x.passed, x.tries = username, x.tries-1 })
		http.Redirect(w, r, loginURL(req.id), http.StatusSeeOther)
	default:
		p.signIn(w, r, req, signIn{username: username})
	}
}

func (p *Provider) checkCode(w http.ResponseWriter, r *http.Request, req authRequest) {
	if req.passed == "" {
		showPassword(w, req, req.loginHint, "")
		return
	}
	req, ok := p.try(w, req)
	if !ok {
		return
	}
	u, ok := p.people.get(req.passed)
	switch {
	case ok && u.codeValid(r.PostFormValue("code"), p.now()):
		p.signIn(w, r, req, signIn{username: req.passed, mfa: true})
	case req.tries >= maxTries:
		p.lock(w, req)
	default:
		showCode(w, req, "Wrong code. Codes change every 30 seconds.")
	}
}

// try counts before the secret is looked at, so that guesses sent side by side are counted too.
func (p *Provider) try(w http.ResponseWriter, req authRequest) (authRequest, bool) {
	req, ok := p.store.requests.update(req.id, func(x *authRequest) { x.tries++ })
	if !ok || req.tries > maxTries {
		p.lock(w, req)
		return req, false
	}
	return req, true
}

func (p *Provider) lock(w http.ResponseWriter, req authRequest) {
	p.store.requests.take(req.id)
	showFailure(w, http.StatusForbidden, "Too many wrong tries. Please start again at the application.")
}

// signIn opens a new session under a new cookie; the same person keeps the session's name, another person ends the old one.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request, req authRequest, s signIn) {
	if !req.allows(s.username) {
		p.refuse(w, r, req, oidc.ErrLoginRequired().WithDescription("Another person signed in."))
		return
	}
	old, _ := p.takeSession(r)
	s.at, s.sid = p.now(), rand.Text()
	if old.username == s.username {
		s.sid = old.sid
	}
	token := rand.Text()
	if err := p.store.sessions.put(token, s); err != nil {
		showFailure(w, http.StatusServiceUnavailable, "Too many people are signed in. Please try later.")
		return
	}
	p.setCookie(w, sessionCookie, token, 0)
	p.finish(w, r, req, s)
}

// finish ties the request to the person and lets the library make the code.
func (p *Provider) finish(w http.ResponseWriter, r *http.Request, req authRequest, s signIn) {
	p.store.requests.update(req.id, func(x *authRequest) { x.signIn = s })
	p.backToLibrary(w, r, req.id)
}

func (p *Provider) backToLibrary(w http.ResponseWriter, r *http.Request, id string) {
	http.Redirect(w, r, callbackPath+"?id="+url.QueryEscape(id), http.StatusSeeOther)
}

// refuse ends the request with an error that the client gets.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, req authRequest, reason *oidc.Error) {
	p.store.requests.take(req.id)
	p.setCookie(w, requestCookie+req.id, "", -1)
	p.sendAuthorization(w, capture(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op.AuthRequestError(w, r, req, reason, p.library)
	}), r))
}

// serveEndSession is RP-Initiated Logout 1.0. An ID token in the hint shows that a client asks; without it any site could send
// the person here, so the person is asked first (section 2).
func (p *Provider) serveEndSession(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		showFailure(w, http.StatusBadRequest, "The sign-out request cannot be read.")
		return
	}
	_, signedIn := p.session(r)
	hinted := r.Form.Get("id_token_hint") != ""
	// The session cookie is SameSite=Lax: a POST from another site comes without it and ends nothing.
	confirmed := r.Method == http.MethodPost && r.PostForm.Get("confirm") == "yes"
	if signedIn && !hinted && !confirmed {
		showSignOut(w, r.Form)
		return
	}
	answer := capture(p.library, r)
	if answer.status >= http.StatusBadRequest {
		showFailure(w, answer.status, "The sign-out request was not accepted.")
		return
	}
	if !hinted {
		p.takeSession(r)
	}
	if _, signedIn := p.session(r); !signedIn {
		p.setCookie(w, sessionCookie, "", -1)
	}
	answer.send(w)
}

func (p *Provider) serveSignedOut(w http.ResponseWriter, _ *http.Request) { showSignedOut(w) }

func (p *Provider) session(r *http.Request) (signIn, bool) {
	return p.store.sessions.get(p.cookie(r, sessionCookie))
}

func (p *Provider) takeSession(r *http.Request) (signIn, bool) {
	return p.store.sessions.take(p.cookie(r, sessionCookie))
}

// ownRequest finds a request that this very browser began.
func (p *Provider) ownRequest(r *http.Request, id string) (authRequest, bool) {
	req, ok := p.store.requests.get(id)
	return req, ok && equal(req.secret, p.cookie(r, requestCookie+id))
}

func (p *Provider) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(p.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie: maxAge in seconds, 0 = until the browser ends, negative = remove.
func (p *Provider) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: p.cookieName(name), Value: value, Path: "/", MaxAge: maxAge,
		Secure: p.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookieName adds the prefix that keeps other hosts of the domain from setting the cookie; browsers demand https for it.
func (p *Provider) cookieName(name string) string {
	if p.secure() {
		return "__Host-" + name
	}
	return name
}

func (p *Provider) secure() bool { return strings.HasPrefix(p.issuer, "https://") }
