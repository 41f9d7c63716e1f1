package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"isogate/examples/world"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// checkEvery is how often the commercial side of the demo asks whether a session lives.
const checkEvery = 2 * time.Second

const day = 24 * time.Hour

// sessionOutsideIsBounded opens the sealed cookie with the world's own keys: nobody else could.
func (v *walk) sessionOutsideIsBounded() (string, error) {
	at := slices.IndexFunc(v.given, func(c *http.Cookie) bool { return c.Name == federatedCookie && c.MaxAge > 0 })
	if at < 0 {
		return "", errors.New("no cookie with a Max-Age was set")
	}
	sealers, err := keys.OpenSealers(filepath.Join(v.Dir, "commercial", "federated"), time.Now)
	if err != nil {
		return "", err
	}
	sealed := session.Sealed{Keys: sealers, Now: time.Now}
	o, err := sealed.Open("support.commercial.localhost", v.guest.Cookies(v.Platform.URL("support", "/"))[federatedCookie])
	if err != nil {
		return "", err
	}
	age, life := time.Duration(v.given[at].MaxAge)*time.Second, o.Ends.Sub(o.Start)
	if age > day || life > day || life <= 0 || age > time.Until(o.Ends)+time.Minute {
		return "", fmt.Errorf("Max-Age %s, sealed end after %s", age, life)
	}
	if _, err := sealed.Seal("support.commercial.localhost", session.Outside{
		Cloud: o.Cloud, Subject: o.Subject, Grant: o.Grant, Token: o.Token, Key: o.Key, Start: o.Start, Checked: o.Checked, Ends: o.Start.Add(day + time.Second),
	}); err == nil {
		return "", errors.New("a session of more than 24 h could be sealed")
	}
	return fmt.Sprintf("the cookie's Max-Age is %s, and its sealed end is %s after its start: what the isolated cloud's own limits leave, and never more than 24 h", age, life), nil
}

// limitInsideEndsTheSessionOutside shortens the limit in the file of the running isolated cloud, and puts it back.
func (v *walk) limitInsideEndsTheSessionOutside() (_ string, err error) {
	const usual, short = "federated: 24h", "federated: 1s"
	if _, status, err := v.outside("support"); err != nil || status != http.StatusOK {
		return "", fmt.Errorf("before the edit: %d, %v", status, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	began := time.Now()
	if err := v.EditFile(usual, short); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, v.EditFileAndWait(ctx, short, usual)) }()
	for status := http.StatusOK; status == http.StatusOK; {
		if time.Since(began) > 15*time.Second {
			return "", errors.New("the session outlived the limit by far")
		}
		time.Sleep(50 * time.Millisecond)
		if _, status, err = v.outside("support"); err != nil {
			return "", err
		}
		if status != http.StatusOK && status != http.StatusUnauthorized {
			return "", fmt.Errorf("the Support Centre answered %d", status)
		}
	}
	took := time.Since(began)
	a, err := v.guest.Do("GET", v.URL("auth", "/.isogate/session"), world.Navigation, nil, "")
	if err != nil || a.Status != http.StatusOK {
		return "", fmt.Errorf("the session inside: %d, %v", a.Status, err)
	}
	return fmt.Sprintf("a limit of 1 s, set in the isolated cloud's file, ended the session outside %.1f s after the edit, at its next check (every %s here); nobody signed in in between, and inside the session goes on", took.Seconds(), checkEvery), nil
}

// signOutInsideEndsEverything has the person who is signed in outside sign out at a product.
func (v *walk) signOutInsideEndsEverything() (string, error) {
	page, err := v.guest.Open(v.URL("issues", "/"))
	if err != nil || page.Status != http.StatusOK {
		return "", fmt.Errorf("the product answered %d, %v", page.Status, err)
	}
	if page, err = v.guest.Open(v.URL("issues", "/.isogate/logout")); err != nil {
		return "", err
	}
	given, err := v.Given(v.guest, "support") // for one more request of the person, just before they leave
	if err != nil {
		return "", err
	}
	call := given.To("issues", "GET", issueTarget)
	if a, err := v.CallSidecar("support", call); err != nil || a.Status != http.StatusOK {
		return "", fmt.Errorf("before the sign-out: %d %q, %v", a.Status, a.Reason(), err)
	}
	if page, err = v.guest.Press(page, "Sign out", nil); err != nil || page.Status != http.StatusOK {
		return "", fmt.Errorf("the sign-out: %d, %v", page.Status, err)
	}
	began, before := time.Now(), v.hits()
	inside, err := v.guest.Do("GET", v.URL("issues", "/"), world.Fetch, nil, "")
	if err != nil || inside.Status != http.StatusUnauthorized {
		return "", fmt.Errorf("the product answered %d, %v", inside.Status, err)
	}
	crossing, err := v.CallSidecar("support", call)
	if err != nil || crossing.Status != http.StatusUnauthorized || crossing.Reason() != "session-ended" || v.hits() != before {
		return "", fmt.Errorf("the gateway answered %d %q, %v; %d requests reached a product", crossing.Status, crossing.Reason(), err, v.hits()-before)
	}
	atOnce := time.Since(began)
	for status := http.StatusOK; status != http.StatusUnauthorized; time.Sleep(50 * time.Millisecond) {
		if _, status, err = v.outside("support"); err != nil || status != http.StatusOK && status != http.StatusUnauthorized {
			return "", fmt.Errorf("the Support Centre answered %d, %v", status, err)
		}
		if time.Since(began) > checkEvery+5*time.Second {
			return "", errors.New("the session outside outlived its check by far")
		}
	}
	return fmt.Sprintf("within %d ms of the sign-out the product asked for a sign-in and the gateway refused a call with a token that was still fresh (401 session-ended); outside the session ended after %.1f s (its check comes every %s)",
		atOnce.Milliseconds(), time.Since(began).Seconds(), checkEvery), nil
}
