package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"isogate/examples/product"
	"isogate/examples/world"
	"isogate/extauthz/usercontext"
)

// issueTarget is the one endpoint that the shipped policies expose, with the one query parameter that they list.
const issueTarget = "/rest/api/issue/OPS-1?fields=summary"

// hits is how many requests reached any product of any cloud.
func (v *walk) hits() (n int64) {
	for _, c := range []*world.Cloud{v.Cloud, v.Globex} {
		for _, p := range c.Products {
			n += p.Hits()
		}
	}
	return n
}

// showsIssue has somebody open the Support Centre's page with an issue of their own cloud.
func (v *walk) showsIssue(b *world.Browser, of *world.Cloud) error {
	all, own := v.hits(), of.Products["issues"].Hits()
	page, err := b.Open(v.Platform.URL("support", "/issue/OPS-1"))
	if err != nil {
		return err
	}
	shows := strings.Contains(page.Body, "Backups of the wiki take longer than a night") && strings.Contains(page.Body, `<code id="cloud">`+of.ID+"</code>")
	if page.Status != http.StatusOK || !shows {
		return fmt.Errorf("the page answered %d, with the issue: %v\n%.800s", page.Status, shows, page.Body)
	}
	if everywhere, there := v.hits()-all, of.Products["issues"].Hits()-own; everywhere != 1 || there != 1 {
		return fmt.Errorf("%d requests reached products, %d of them the right one", everywhere, there)
	}
	return nil
}

func (v *walk) pageShowsTheCloud() (string, error) {
	if err := v.showsIssue(v.guest, v.Cloud); err != nil {
		return "", err
	}
	return fmt.Sprintf("the Support Centre's page shows an issue of %s, with one request of its issue tracker; the service asked its own sidecar in plain HTTP, by headers that it was given with the person's request", v.ID), nil
}

// cloudIDChoosesTheGateway has a person of the other organisation open the same page.
func (v *walk) cloudIDChoosesTheGateway() (string, error) {
	grace, other := v.Globex.Users[0], v.Browser()
	page, err := other.Open(v.Platform.URL("support", "/"))
	if err != nil {
		return "", err
	}
	if page, err = other.Press(page, next, map[string]string{"email": grace.Email}); err != nil {
		return "", err
	}
	if page, err = other.Press(page, "Continue with Globex", nil); err != nil {
		return "", err
	}
	if page, err = other.Authenticate(grace, page); err != nil {
		return "", err
	}
	if _, err = other.Press(page, next, nil); err != nil {
		return "", err
	}
	if err := v.showsIssue(other, v.Globex); err != nil {
		return "", err
	}
	mixed, err := v.Given(other, "support")
	if err != nil {
		return "", err
	}
	mixed.Cloud = v.ID
	a, err := v.CallSidecar("support", mixed.To("issues", "GET", issueTarget))
	if err != nil || a.Status != http.StatusForbidden || a.Reason() != "cloud" {
		return "", fmt.Errorf("a token of one cloud with the id of another: %d %q, %v", a.Status, a.Reason(), err)
	}
	return "the same page shows a person of Globex what Globex's own issue tracker says: the cloud id of the session chose the gateway; a token of one cloud with the id of another is refused (403 cloud)", nil
}

// gatewayAsksForTokenAndProof calls the gateway itself, with what the sidecar alone could make.
func (v *walk) gatewayAsksForTokenAndProof() (string, error) {
	given, err := v.Given(v.guest, "support")
	if err != nil {
		return "", err
	}
	call, err := v.Opened("support", given.To("issues", "GET", issueTarget))
	if err != nil {
		return "", err
	}
	unproved, bare := call, call
	unproved.Proof, bare.Proof, bare.Token = "", "", ""
	before := v.hits()
	for _, try := range []struct {
		what   string
		call   world.Call
		status int
		reason string
	}{
		{"without token and proof", bare, 401, "token"},
		{"without a proof", unproved, 401, "proof"},
		{"with the sealed token that the service has", given.To("issues", "GET", issueTarget), 401, "token"},
		{"with token and proof", call, 200, ""},
		{"with the same proof again", call, 401, "proof"},
	} {
		a, err := v.CallGateway("support", try.call)
		if err != nil || a.Status != try.status || a.Reason() != try.reason {
			return "", fmt.Errorf("%s: %d %q, %v", try.what, a.Status, a.Reason(), err)
		}
	}
	if reached := v.hits() - before; reached != 1 {
		return "", fmt.Errorf("%d of the five calls reached a product", reached)
	}
	return "called with the Support Centre's certificate, the gateway passes a person's token with a proof of possession for this very call, once; without either, with the proof again, or with the sealed token that the service has: 401", nil
}

// nothingElseCrosses tries what is not exposed. All that the gateway itself refuses looks the same.
func (v *walk) nothingElseCrosses() (string, error) {
	support, err := v.Given(v.guest, "support")
	if err != nil {
		return "", err
	}
	market, err := v.Given(v.guest, "market")
	if err != nil {
		return "", err
	}
	before, bodies := v.hits(), map[string]bool{}
	for _, try := range []struct {
		what, service string
		call          world.Call
	}{
		{"not exposed", "support", support.To("issues", "GET", "/rest/api/project/OPS")},
		{"wrong method", "support", support.To("issues", "DELETE", issueTarget)},
		{"wrong product", "support", support.To("wiki", "GET", issueTarget)},
		{"no such product", "support", support.To("payroll", "GET", issueTarget)},
		{"wrong caller", "market", market.To("issues", "GET", issueTarget)},
		{"unlisted query", "support", support.To("issues", "GET", issueTarget+"&expand=all")},
	} {
		a, err := v.CallSidecar(try.service, try.call)
		if err != nil || a.Status != http.StatusForbidden || a.Reason() != "not-exposed" {
			return "", fmt.Errorf("%s: %d %q, %v", try.what, a.Status, a.Reason(), err)
		}
		bodies[a.Body] = true
	}
	call, err := v.Opened("support", support.To("issues", "GET", issueTarget))
	if err != nil {
		return "", err
	}
	if a, err := v.CallGateway("", call); err == nil {
		return "", fmt.Errorf("without a certificate: %d", a.Status)
	}
	a, err := v.CallGateway("stranger", call)
	if err != nil || a.Status != http.StatusForbidden {
		return "", fmt.Errorf("with a stranger's certificate: %d %q, %v", a.Status, a.Reason(), err)
	}
	if bodies[a.Body] = true; len(bodies) != 1 || v.hits() != before {
		return "", fmt.Errorf("%d different refusals; %d requests reached a product", len(bodies), v.hits()-before)
	}
	return "not exposed, wrong method, wrong product, wrong caller (the marketplace, a stranger), unlisted query: one and the same 403; without a certificate no TLS; no product was touched", nil
}

// whoamiEntry exposes a product's echo to the Support Centre.
const whoamiEntry = `
endpoints["tour.whoami"] := {
	"product": "issues",
	"method": "GET",
	"path": "/whoami",
	"body": "none",
	"callers": ["spiffe://commercial.example/support"],
	"purpose": "the tour",
	"owner": "team-demo",
}
`

const gatewayRego = "gateway.rego"

// exposed exposes the echo by one edit of the running cloud's Rego, and withdraws it by another. It returns what the echo said in between, and how
// long each edit took to act.
func (v *walk) exposed() (said product.Echo, open, shut time.Duration, err error) {
	given, err := v.Given(v.guest, "support")
	if err != nil {
		return said, 0, 0, err
	}
	const mark = "package isogate.gateway\n"
	withdraw := func() error { return v.EditPolicy(gatewayRego, mark+whoamiEntry, mark) }
	call := given.To("issues", "GET", "/whoami")
	if err := v.EditPolicy(gatewayRego, mark, mark+whoamiEntry); err != nil {
		return said, 0, 0, err
	}
	a, open, err := v.until(call, http.StatusForbidden, http.StatusOK)
	if err := errors.Join(err, withdraw()); err != nil {
		return said, 0, 0, err
	}
	_, shut, err = v.until(call, http.StatusOK, http.StatusForbidden)
	return said, open, shut, errors.Join(err, json.Unmarshal([]byte(a.Body), &said))
}

// until calls until the status changes, to the one that is wanted, and says how long that took.
func (v *walk) until(call world.Call, from, to int) (a world.Answer, took time.Duration, err error) {
	for began := time.Now(); time.Since(began) < 15*time.Second; time.Sleep(10 * time.Millisecond) {
		if a, err = v.CallSidecar("support", call); err != nil {
			return a, 0, err
		}
		switch a.Status {
		case to:
			return a, time.Since(began), nil
		case from:
		default:
			return a, 0, fmt.Errorf("between %d and %d there was %d %q", from, to, a.Status, a.Reason())
		}
	}
	return a, 0, fmt.Errorf("the edit did not act: %d", a.Status)
}

// crossing is all that a product receives of a call: the User Context Token, and what Envoy says of itself.
var crossing = []string{"accept", "accept-encoding", usercontext.Header, "x-request-id"}

func (v *walk) productKnowsForWhom() (string, error) {
	said, _, _, err := v.exposed()
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(said.Claims)
	if err != nil {
		return "", err
	}
	var claims usercontext.Claims
	if err := json.Unmarshal(raw, &claims); err != nil {
		return "", err
	}
	caller := world.SPIFFE("support")
	if claims.Act == nil || claims.Act.Subject != caller || claims.Audience != "issues" || claims.Subject == "" {
		return "", fmt.Errorf("the product's token: %s", raw)
	}
	names := slices.Sorted(maps.Keys(said.Headers))
	for _, name := range names {
		if !slices.Contains(crossing, name) {
			return "", fmt.Errorf("the product received %q", names)
		}
	}
	return fmt.Sprintf("the product's User Context Token is of the person %s and names the caller (act %s); beside it the product received nothing of what the service sent", claims.Subject, caller), nil
}

func (v *walk) oneEditExposes() (string, error) {
	_, open, shut, err := v.exposed()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("one edit of %s exposed an endpoint after %d ms, another withdrew it after %d ms; in between no other answer but 403 and 200, and nothing was restarted",
		gatewayRego, open.Milliseconds(), shut.Milliseconds()), nil
}
