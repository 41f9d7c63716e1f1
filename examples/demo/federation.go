package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"isogate/examples/world"
)

// personConfirmsInside begins as the commercial platform does, in a browser that nobody has signed in with.
func (v *walk) personConfirmsInside() (_ string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if v.party, err = v.RelyingParty(ctx); err != nil {
		return "", err
	}
	if v.visit, err = v.party.Begin(ctx, nil); err != nil {
		return "", err
	}
	browser := v.Browser()
	page, err := browser.Open(v.visit.URL)
	if err != nil {
		return "", err
	}
	provider := page.URL.Host
	if !strings.HasPrefix(provider, "idp.corp.localhost") {
		return "", fmt.Errorf("the way ended at %s with %d", provider, page.Status)
	}
	confirm, err := browser.Authenticate(v.User("alice"), page)
	if err != nil {
		return "", err
	}
	if confirm.URL.Host != v.authHost() || !strings.Contains(confirm.Body, "Commercial Platform") || confirm.Leads() != "" {
		return "", fmt.Errorf("after the sign-in: %d at %s, which leads to %q", confirm.Status, confirm.URL.Host, confirm.Leads())
	}
	back, err := browser.Submit(confirm, map[string]string{"decision": "continue"})
	if err != nil {
		return "", err
	}
	v.callback = back.Leads()
	if !strings.HasPrefix(v.callback, v.party.RedirectURI) || !strings.Contains(v.callback, "code=") {
		return "", fmt.Errorf("the confirmation led to %q", v.callback)
	}
	return fmt.Sprintf("the platform pushed its request and sent the person to %s; %s asked for both factors, and the person confirmed on the isolated cloud's own page",
		v.authHost(), provider), nil
}

func (v *walk) authHost() string { return strings.TrimPrefix(v.URL("auth", ""), "https://") }

// minimal are the claims of an ID token to which nothing was asked in addition.
var minimal = []string{"aud", "exp", "iat", "isolated_cloud_id", "iss", "nonce", "session_expiry", "sid", "sub"}

func (v *walk) codeBecomesMinimalToken() (string, error) {
	if v.callback == "" {
		return "", errors.New("there is no code: the step before failed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	outside, err := v.party.Finish(ctx, v.visit, v.callback)
	if err != nil {
		return "", err
	}
	claims := slices.Sorted(maps.Keys(outside.Claims))
	if !slices.Equal(claims, minimal) {
		return "", fmt.Errorf("the ID token holds %v", claims)
	}
	state, err := v.party.Session(ctx, outside.Token)
	if err != nil {
		return "", err
	}
	inside, err := v.whoami(v.person, "issues")
	if err != nil {
		return "", err
	}
	if state.Subject != outside.Claims["sub"] || inside.Claims == nil || state.Subject == inside.Claims.Subject {
		return "", fmt.Errorf("sub is %v in the ID token and %s at the session resource", outside.Claims["sub"], state.Subject)
	}
	if err := v.party.Revoke(ctx, outside.Token); err != nil {
		return "", err
	}
	refused := new(world.OAuthError)
	if _, err := v.party.Session(ctx, outside.Token); !errors.As(err, &refused) || refused.Status != 401 {
		return "", fmt.Errorf("after the revocation the session resource said: %v", err)
	}
	return fmt.Sprintf("the ID token verifies and holds %s and nothing else; sub is good for this client alone; revoked, the token opened nothing any more",
		strings.Join(claims, " ")), nil
}

func (v *walk) unmanagedDomainGetsNoCode() (string, error) {
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
	browser := v.Browser()
	page, err := browser.SignIn(v.User("erin"), visit.URL)
	if err != nil {
		return "", err
	}
	if page.Leads() != "" || strings.Contains(page.Body, `value="continue"`) {
		return "", fmt.Errorf("%d, which leads to %q", page.Status, page.Leads())
	}
	back, err := browser.Submit(page, map[string]string{"decision": "cancel"}) // its one button
	if err != nil {
		return "", err
	}
	refused := new(world.OAuthError)
	if _, err := party.Finish(ctx, visit, back.Leads()); !errors.As(err, &refused) || refused.Code != "access_denied" {
		return "", fmt.Errorf("the platform was told: %v", err)
	}
	product, err := browser.Open(v.URL("issues", "/whoami"))
	if err != nil {
		return "", err
	}
	if product.Status != 200 {
		return "", fmt.Errorf("the product answered %d", product.Status)
	}
	return fmt.Sprintf("%s, whose e-mail domain is not managed, uses the products, but gets a page (%d) and no code; the platform was told access_denied",
		v.User("erin").Username, page.Status), nil
}
