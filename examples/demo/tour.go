package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"isogate/envoy/daemon"
	"isogate/examples/world"
	"isogate/extauthz/keys"
	"isogate/extauthz/usercontext"
)

// walk is one pass through the world. Later steps use what earlier ones established, as a person's visit does.
type walk struct {
	*world.World
	person *world.Browser // signs in once, and stays
	landed world.Answer   // where the sign-in brought them

	guest *world.Browser // signs in outside, and stays
	page  world.Answer   // that it shows
	given []*http.Cookie // on its way back from the isolated cloud
	files []string       // that the commercial side had before anybody came
}

// steps are the tour, in order. Each observes from outside, and says what it saw or what is wrong.
var steps = []struct {
	id string
	do func(*walk) (string, error)
}{
	{"I1", (*walk).edgeForwards},
	{"I2", (*walk).strangerIsSentToSignIn},
	{"I3", (*walk).providerAsksTwoFactors},
	{"I4", (*walk).tokenVerifies},
	{"I5", (*walk).oneSignInForEveryProduct},
	{"F1", (*walk).serviceSendsToIdentityHost},
	{"F2", (*walk).domainIsLookedUp},
	{"F3", (*walk).buttonAppears},
	{"F4", (*walk).unknownDomainGetsStandardOptions},
	{"F5", (*walk).buttonPushesARequest},
	{"F6", (*walk).personSignsInInside},
	{"F7", (*walk).codeBecomesMinimalToken},
	{"F8", (*walk).onlyTheBrowserHoldsTheSession},
	{"L1", (*walk).sessionOutsideIsBounded},
	{"L2", (*walk).limitInsideEndsTheSessionOutside},
	{"A1", (*walk).ownProductIsOpen},
	{"A2", (*walk).sharedServiceIsOpen},
	{"A3", (*walk).standardTenantIsClosed},
	{"A4", (*walk).anonymousIsDenied},
	{"G1", (*walk).pageShowsTheCloud},
	{"G2", (*walk).cloudIDChoosesTheGateway},
	{"G3", (*walk).gatewayAsksForTokenAndProof},
	{"G4", (*walk).nothingElseCrosses},
	{"G5", (*walk).productKnowsForWhom},
	{"G6", (*walk).oneEditExposes},
	{"K1", (*walk).nothingPersonalOutside},
	{"K2", (*walk).signOutInsideEndsEverything},
	{"K3", (*walk).unmanagedDomainGetsNoCode},
}

// tour walks all steps and returns how many failed.
func tour(out io.Writer, w *world.World) int {
	visit := &walk{World: w, person: w.Browser(), guest: w.Browser()}
	visit.files, _ = w.Platform.Files() // without them F8 fails
	failed := 0
	for _, step := range steps {
		saw, err := step.do(visit)
		if err != nil {
			failed++
			fmt.Fprintf(out, "FAIL %-3s %v\n", step.id, err)
			continue
		}
		fmt.Fprintf(out, "ok   %-3s %s\n", step.id, saw)
	}
	fmt.Fprintf(out, "tour: %d steps, %d failed\n", len(steps), failed)
	return failed
}

// deep is an address with everything that a sign-in must bring back unchanged.
const deep = "/browse/OPS-1?view=a%20b&q=%C3%A9&list[]=1"

func (v *walk) edgeForwards() (string, error) {
	a, err := v.Browser().Get(v.URL("issues", "/health"))
	if err != nil {
		return "", err
	}
	if a.Status != 200 || a.Leaf != "ingress" {
		return "", fmt.Errorf("status %d, certificate of %q", a.Status, a.Leaf)
	}
	return fmt.Sprintf("the edge at %s forwarded to the ingress; the certificate that came back is the ingress's own (%s)", v.Edge(), a.Proto), nil
}

func (v *walk) strangerIsSentToSignIn() (string, error) {
	navigation, err := v.Browser().Step(v.URL("issues", deep))
	if err != nil {
		return "", err
	}
	if to := navigation.Header.Get("Location"); navigation.Status != 302 || !strings.HasPrefix(to, v.URL("auth", "/.isogate/signin?flow=")) {
		return "", fmt.Errorf("a navigation got %d to %q", navigation.Status, to)
	}
	fetch, err := v.Browser().Do("GET", v.URL("issues", deep), world.Fetch, nil, "")
	if err != nil {
		return "", err
	}
	var problem struct{ Reason string }
	if err := json.Unmarshal([]byte(fetch.Body), &problem); err != nil {
		return "", fmt.Errorf("a fetch got no problem: %w", err)
	}
	if fetch.Status != 401 || problem.Reason != "unauthenticated" || fetch.Header.Get("Set-Cookie") != "" {
		return "", fmt.Errorf("a fetch got %d %q, cookie %q", fetch.Status, problem.Reason, fetch.Header.Get("Set-Cookie"))
	}
	return "without a session a navigation is sent to sign-in (302), a fetch gets 401 and a problem, and no cookie", nil
}

func (v *walk) providerAsksTwoFactors() (string, error) {
	page, err := v.person.Open(v.URL("issues", deep))
	if err != nil {
		return "", err
	}
	provider := page.URL.Host
	if page.Status != 200 || !strings.Contains(page.Body, `name="password"`) || !strings.HasPrefix(provider, "idp.corp.localhost") {
		return "", fmt.Errorf("the way ended at %s with %d", page.URL.Host, page.Status)
	}
	v.landed, err = v.person.Authenticate(v.User("alice"), page)
	if err != nil {
		return "", err
	}
	if got := v.landed.URL.String(); got != v.URL("issues", deep) || v.landed.Status != 200 {
		return "", fmt.Errorf("after the sign-in: %d at %s", v.landed.Status, got)
	}
	return fmt.Sprintf("%s asked for password and one-time code; the person landed on the address first asked for, query included", provider), nil
}

// whoami is what a product says of a request.
type whoami struct {
	Name    string
	Claims  *usercontext.Claims
	Headers map[string][]string
}

func (v *walk) whoami(b *world.Browser, product string) (w whoami, err error) {
	a, err := b.Open(v.URL(product, "/whoami"))
	if err != nil {
		return w, err
	}
	if a.Status != 200 {
		return w, fmt.Errorf("%s answered %d at %s", product, a.Status, a.URL.Host)
	}
	return w, json.Unmarshal([]byte(a.Body), &w)
}

func (v *walk) tokenVerifies() (string, error) {
	seen, err := v.whoami(v.person, "issues")
	if err != nil {
		return "", err
	}
	tokens := seen.Headers[usercontext.Header]
	if len(tokens) != 1 {
		return "", fmt.Errorf("the product received %d tokens", len(tokens))
	}
	client := daemon.Connect(v.Connect()).Client(v.CA.Pool())
	verifier := usercontext.Verifier{Issuer: v.URL("auth", ""), Audience: "issues", Keys: keys.NewRemote(v.URL("auth", usercontext.JWKSPath), client, time.Now)}
	c, err := verifier.Verify(context.Background(), tokens[0])
	if err != nil {
		return "", err
	}
	alice := v.User("alice")
	if c.Email != alice.Email || c.Name != alice.Name || c.ACR != "urn:example:mfa" || c.Session == "" || time.Until(time.Unix(c.Expires, 0)) > usercontext.Lifetime {
		return "", fmt.Errorf("unexpected claims: %+v", c)
	}
	for name := range seen.Headers {
		if name == "cookie" {
			return "", errors.New("the product received a cookie of ours")
		}
	}
	return fmt.Sprintf("the product's token verifies against the published keys: sub %s, aud %s, acr %s, amr %v, valid for %d s; no cookie of ours reached it",
		c.Subject, c.Audience, c.ACR, c.AMR, c.Expires-c.IssuedAt), nil
}

func (v *walk) oneSignInForEveryProduct() (string, error) {
	page, err := v.person.Open(v.URL("wiki", "/whoami"))
	if err != nil {
		return "", err
	}
	for _, via := range page.Via {
		if u, err := url.Parse(via); err == nil && strings.HasPrefix(u.Host, "idp.") {
			return "", errors.New("the second product asked the identity provider again")
		}
	}
	wiki, err := v.whoami(v.person, "wiki")
	if err != nil {
		return "", err
	}
	issues, err := v.whoami(v.person, "issues")
	if err != nil {
		return "", err
	}
	switch {
	case wiki.Name != "wiki" || issues.Name != "issues" || wiki.Claims == nil || issues.Claims == nil:
		return "", fmt.Errorf("wiki's host reached %q and issues' host %q", wiki.Name, issues.Name)
	case wiki.Claims.Audience != "wiki" || issues.Claims.Audience != "issues" || wiki.Claims.Subject != issues.Claims.Subject:
		return "", fmt.Errorf("audiences %q and %q", wiki.Claims.Audience, issues.Claims.Audience)
	case wiki.Claims.Email != "":
		return "", errors.New("the wiki got a claim that its entry does not list")
	}
	return "after one sign-in issues and wiki each reach their own backend, each with its own audience and only the claims that it asked for", nil
}
