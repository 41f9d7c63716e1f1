package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// nothingPersonalOutside comes after everything that people did outside.
func (v *walk) nothingPersonalOutside() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	kept, err := v.Kept(ctx)
	if err != nil {
		return "", err
	}
	words, size := v.Personal(), 0
	for where, what := range kept {
		size += len(what)
		for _, word := range words {
			if at := word.Pattern.FindIndex(what); at != nil {
				return "", fmt.Errorf("%s holds the %s: %.80q", where, word.What, what[max(0, at[0]-30):])
			}
		}
	}
	if len(kept["received by support"]) == 0 {
		return "", fmt.Errorf("the Support Centre received nothing: this proves nothing")
	}
	return fmt.Sprintf("%d words (names, addresses, local parts, provider subjects) are nowhere in the %d places that the commercial side has (%d KB of files, logs, metrics, Envoy dumps, and every byte that its services received)",
		len(words), len(kept), size>>10), nil
}

// unmanagedDomainGetsNoCode has somebody whose domain the organisation does not manage try both ways.
func (v *walk) unmanagedDomainGetsNoCode() (string, error) {
	erin, browser := v.User("erin"), v.Browser()
	_, domain, _ := strings.Cut(erin.Email, "@")
	page, err := browser.Open(v.Platform.URL("support", "/"))
	if err != nil {
		return "", err
	}
	own, err := browser.Press(page, next, map[string]string{"email": erin.Email})
	if err != nil {
		return "", err
	}
	if !slices.Equal(own.Buttons(), []string{standard}) {
		return "", fmt.Errorf("%s gets %q", domain, own.Buttons())
	}
	if page, err = browser.Press(page, next, map[string]string{"email": "x@acme.example"}); err != nil {
		return "", err
	}
	if page, err = browser.Press(page, toAcme, nil); err != nil {
		return "", err
	}
	if page, err = browser.Authenticate(erin, page); err != nil {
		return "", err
	}
	if page.Status != 403 || page.URL.Host != v.authHost() || slices.Contains(page.Buttons(), next) {
		return "", fmt.Errorf("%d at %s with %q", page.Status, page.URL.Host, page.Buttons())
	}
	back, err := browser.Press(page, "Go back", nil)
	if err != nil {
		return "", err
	}
	if back.Status != 403 || back.URL.Host != strings.TrimPrefix(v.Platform.URL("id", ""), "https://") || browser.Cookies(v.Platform.URL("support", "/"))[federatedCookie] != "" {
		return "", fmt.Errorf("led back to %s (%d)", back.URL.Host, back.Status)
	}
	product, err := browser.Open(v.URL("issues", "/whoami"))
	if err != nil || product.Status != 200 {
		return "", fmt.Errorf("the product answered %d: %v", product.Status, err)
	}
	return fmt.Sprintf("%s, whose domain (%s) is not managed, gets no button; who takes the cloud's button all the same signs in inside, gets a page (403) and no code there, and another back outside (%d); the products stay open",
		erin.Username, domain, back.Status), nil
}
