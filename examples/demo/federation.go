package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"isogate/examples/world"
)

// What people read on the buttons of the identity host.
const (
	next     = "Continue"
	toAcme   = "Continue with Acme"
	standard = "Sign in with a password"
)

// federatedCookie holds the session outside, sealed.
const federatedCookie = "__Host-isogate_federated"

func (v *walk) serviceSendsToIdentityHost() (string, error) {
	fetch, err := v.guest.Do("GET", v.Platform.URL("support", "/"), world.Fetch, nil, "")
	if err != nil {
		return "", err
	}
	navigation, err := v.guest.Step(v.Platform.URL("support", deep))
	if err != nil {
		return "", err
	}
	if to := navigation.Leads(); fetch.Status != 401 || navigation.Status != 302 || !strings.HasPrefix(to, v.Platform.URL("id", "/.isogate/signin?flow=")) {
		return "", fmt.Errorf("a fetch got %d, a navigation %d to %q", fetch.Status, navigation.Status, to)
	}
	if v.page, err = v.guest.Follow(navigation); err != nil {
		return "", err
	}
	if v.page.Status != 200 || !slices.Equal(v.page.Buttons(), []string{next}) || !strings.Contains(v.page.Body, `name="email"`) {
		return "", fmt.Errorf("the login page: %d with %q", v.page.Status, v.page.Buttons())
	}
	return fmt.Sprintf("the Support Centre sent the browser to the login page of the commercial side at %s, which asks for an e-mail address", v.page.URL.Host), nil
}

func (v *walk) domainIsLookedUp() (_ string, err error) {
	alice := v.User("alice")
	if v.page, err = v.guest.Press(v.page, next, map[string]string{"email": alice.Email}); err != nil {
		return "", err
	}
	answer := v.page.URL.String() + v.page.Body + fmt.Sprint(v.page.Header, v.page.Set)
	local, domain, _ := strings.Cut(alice.Email, "@")
	if v.page.Status != 200 || len(v.page.Buttons()) == 0 || strings.Contains(answer, local) {
		return "", fmt.Errorf("%d with %q; the answer repeats the address: %v", v.page.Status, v.page.Buttons(), strings.Contains(answer, local))
	}
	return fmt.Sprintf("the address went in a form's body; its domain, %s, is one that the directory knows; nothing of the address is in the page that came back, its address or its cookies", domain), nil
}

func (v *walk) buttonAppears() (string, error) {
	if got := v.page.Buttons(); !slices.Equal(got, []string{toAcme, standard}) {
		return "", fmt.Errorf("the page has the buttons %q", got)
	}
	trap, err := v.guest.Press(v.page, standard, nil)
	if err != nil {
		return "", err
	}
	if trap.Status != 403 || !slices.Equal(trap.Buttons(), []string{toAcme}) || trap.Leads() != "" {
		return "", fmt.Errorf("the standard option answered %d, with %q", trap.Status, trap.Buttons())
	}
	return fmt.Sprintf("%q stands beside %q; the latter refuses people of this domain (403), so that nobody types the organisation's password there", toAcme, standard), nil
}

func (v *walk) unknownDomainGetsStandardOptions() (string, error) {
	browser := v.Browser()
	for _, email := range []string{"someone@unknown.example", "someone@sub.acme.example"} {
		page, err := browser.Open(v.Platform.URL("support", "/"))
		if err != nil {
			return "", err
		}
		if page, err = browser.Press(page, next, map[string]string{"email": email}); err != nil {
			return "", err
		}
		if got := page.Buttons(); page.Status != 200 || !slices.Equal(got, []string{standard}) {
			return "", fmt.Errorf("%s gets %d with %q", email, page.Status, got)
		}
		if page, err = browser.Press(page, standard, nil); err != nil {
			return "", err
		}
		if page.Status != 200 || page.URL.String() != v.Platform.URL("login", "/") {
			return "", fmt.Errorf("the standard option leads to %s (%d)", page.URL, page.Status)
		}
	}
	return "an unknown domain, and a sub-domain of a known one, get the standard options only", nil
}

func (v *walk) buttonPushesARequest() (_ string, err error) {
	if v.page, err = v.guest.Press(v.page, toAcme, nil); err != nil {
		return "", err
	}
	for _, via := range v.page.Via {
		u, err := url.Parse(via)
		if err != nil || !strings.HasPrefix(via, v.URL("auth", "/oauth2/authorize?")) {
			continue
		}
		query := u.Query()
		if names := slices.Sorted(maps.Keys(query)); query.Get("client_id") == world.Client && slices.Equal(names, []string{"client_id", "request_uri"}) {
			return fmt.Sprintf("the button led to %s with client_id and a request_uri alone: all else was pushed before, with PKCE and a key (the OAuth server takes nothing else)", u.Host+u.Path), nil
		}
		return "", fmt.Errorf("the browser carried %v", slices.Sorted(maps.Keys(query)))
	}
	return "", fmt.Errorf("the way led over %q", v.page.Via)
}

func (v *walk) personSignsInInside() (string, error) {
	provider := v.page.URL.Host
	if !strings.HasPrefix(provider, "idp.corp.localhost") {
		return "", fmt.Errorf("the way ended at %s with %d", provider, v.page.Status)
	}
	confirm, err := v.guest.Authenticate(v.User("alice"), v.page)
	if err != nil {
		return "", err
	}
	if confirm.URL.Host != v.authHost() || !strings.Contains(confirm.Body, "Commercial Platform") || confirm.Leads() != "" {
		return "", fmt.Errorf("after the sign-in: %d at %s, which leads to %q", confirm.Status, confirm.URL.Host, confirm.Leads())
	}
	landed, err := v.guest.Press(confirm, next, nil)
	if err != nil {
		return "", err
	}
	v.given = landed.Set
	if got := landed.URL.String(); landed.Status != 200 || got != v.Platform.URL("support", deep) {
		return "", fmt.Errorf("the confirmation led to %s (%d)\n%.300s", got, landed.Status, landed.Body)
	}
	return fmt.Sprintf("%s asked for both factors, the person confirmed on the isolated cloud's own page, and landed on the address first asked for at the Support Centre, query included", provider), nil
}

func (v *walk) authHost() string { return strings.TrimPrefix(v.URL("auth", ""), "https://") }

// minimal are the claims of an ID token to which nothing was asked in addition.
var minimal = []string{"aud", "exp", "iat", "isolated_cloud_id", "iss", "nonce", "session_expiry", "sid", "sub"}

// codeBecomesMinimalToken looks at the token by a relying party of its own, since the commercial side shows its tokens to nobody: the client, its
// keys and the browser, in which the person has confirmed it, are the same.
func (v *walk) codeBecomesMinimalToken() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	party, err := v.RelyingParty(ctx)
	if err != nil {
		return "", err
	}
	visit, err := party.Begin(ctx, nil)
	if err != nil {
		return "", err
	}
	back, err := v.guest.Open(visit.URL)
	if err != nil {
		return "", err
	}
	token, err := party.Finish(ctx, visit, back.Leads())
	if err != nil {
		return "", err
	}
	claims := slices.Sorted(maps.Keys(token.Claims))
	if !slices.Equal(claims, minimal) || token.Claims["isolated_cloud_id"] != v.ID {
		return "", fmt.Errorf("the ID token holds %v, of %v", claims, token.Claims["isolated_cloud_id"])
	}
	if err := party.Revoke(ctx, token.Token); err != nil {
		return "", err
	}
	refused := new(world.OAuthError)
	if _, err := party.Session(ctx, token.Token); !errors.As(err, &refused) || refused.Status != 401 {
		return "", fmt.Errorf("after the revocation the session resource said: %v", err)
	}
	return fmt.Sprintf("a second relying party with the platform's own client received an ID token that verifies and holds %s and nothing else; revoked, its token opened nothing any more",
		strings.Join(claims, " ")), nil
}

func (v *walk) onlyTheBrowserHoldsTheSession() (string, error) {
	value := v.guest.Cookies(v.Platform.URL("support", "/"))[federatedCookie]
	if value == "" {
		return "", errors.New("the browser holds no session at the Support Centre")
	}
	files, err := v.Platform.Files()
	if err != nil {
		return "", err
	}
	if !slices.Equal(files, v.files) || len(files) == 0 {
		return "", fmt.Errorf("the files were %q and are %q", v.files, files)
	}
	extauthz := v.Parts["extauthz-commercial"]
	if err := errors.Join(extauthz.Stop(), extauthz.Start(context.Background())); err != nil {
		return "", err
	}
	known, status, err := v.outside("support")
	if err != nil || status != http.StatusOK || known.Cloud != v.ID {
		return "", fmt.Errorf("after a restart the Support Centre answered %d: %v", status, err)
	}
	return fmt.Sprintf("the browser holds the session in a sealed cookie of %d bytes; the commercial side has no store, wrote no file but its logs, and after a restart with nothing the session goes on", len(value)), nil
}
