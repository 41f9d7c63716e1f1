package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"isogate/examples/service"
	"isogate/examples/world"
)

func (v *walk) ownProductIsOpen() (string, error) {
	a, err := v.person.Open(v.URL("issues", "/rest/api/issue/OPS-1"))
	if err != nil {
		return "", err
	}
	if a.Status != 200 || !strings.Contains(a.Body, "OPS-1") {
		return "", fmt.Errorf("%d %.100q", a.Status, a.Body)
	}
	return "a person who is signed in reads an issue of the own organisation", nil
}

func (v *walk) anonymousIsDenied() (string, error) {
	hits := v.Products["issues"].Hits()
	for _, path := range []string{"/", "/rest/api/issue/OPS-1", "/healthz", "/health/", "/Health"} {
		a, err := v.Browser().Get(v.URL("issues", path))
		if err != nil {
			return "", err
		}
		if a.Status != http.StatusUnauthorized {
			return "", fmt.Errorf("a stranger got %d at %s", a.Status, path)
		}
	}
	if reached := v.Products["issues"].Hits() - hits; reached != 0 {
		return "", fmt.Errorf("%d requests of a stranger reached the product", reached)
	}
	a, err := v.Browser().Get(v.URL("issues", "/health?probe=1"))
	if err != nil {
		return "", err
	}
	if a.Status != 200 {
		return "", fmt.Errorf("the allowlisted endpoint answered %d", a.Status)
	}
	return "a stranger gets 401 everywhere and reaches no product, but for the one allowlisted endpoint", nil
}

// outside asks a service, as a script in its page does, whom it was given.
func (v *walk) outside(id string) (e service.Echo, status int, err error) {
	a, err := v.guest.Do("GET", v.Platform.URL(id, "/whoami"), world.Fetch, nil, "")
	if err != nil || a.Status != http.StatusOK {
		return e, a.Status, err
	}
	return e, a.Status, json.Unmarshal([]byte(a.Body), &e)
}

// sharedServiceIsOpen signs in outside once more, since the limit before has ended the session there. Inside nothing is asked: it goes on.
func (v *walk) sharedServiceIsOpen() (string, error) {
	page, err := v.guest.Open(v.Platform.URL("support", "/"))
	if err != nil {
		return "", err
	}
	if page, err = v.guest.Press(page, next, map[string]string{"email": v.User("alice").Email}); err != nil {
		return "", err
	}
	if page, err = v.guest.Press(page, toAcme, nil); err != nil || page.URL.String() != v.Platform.URL("support", "/") {
		return "", fmt.Errorf("signing in again ended at %s: %v", page.URL, err)
	}
	if page, err = v.guest.Open(v.Platform.URL("market", "/whoami")); err != nil {
		return "", err
	}
	for _, via := range page.Via {
		if strings.Contains(via, "."+world.Domain) {
			return "", errors.New("the second service asked the isolated cloud again")
		}
	}
	market, status, err := v.outside("market")
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("the marketplace answered %d: %v", status, err)
	}
	support, status, err := v.outside("support")
	if err != nil || status != http.StatusOK {
		return "", fmt.Errorf("the Support Centre answered %d: %v", status, err)
	}
	if market.Cloud != v.ID || support.Cloud != v.ID || market.User == "" || market.User == support.User {
		return "", fmt.Errorf("market knows %q of %q, support %q of %q", market.User, market.Cloud, support.User, support.Cloud)
	}
	return fmt.Sprintf("one sign-in opens the Support Centre and the marketplace (nobody typed a password again, since inside the session goes on); each knows the person of %s by an id of its own", v.ID), nil
}

func (v *walk) standardTenantIsClosed() (string, error) {
	hits := v.Platform.Services["tenant"].Hits()
	a, err := v.guest.Open(v.Platform.URL("tenant", "/"))
	if err != nil {
		return "", err
	}
	if a.Status != http.StatusForbidden || !strings.Contains(a.Body, "federation") || v.Platform.Services["tenant"].Hits() != hits {
		return "", fmt.Errorf("%d at %s, %d hits", a.Status, a.URL.Host, v.Platform.Services["tenant"].Hits()-hits)
	}
	return "a service that is not open to people of isolated clouds answers 403 with a page, and is not reached", nil
}
