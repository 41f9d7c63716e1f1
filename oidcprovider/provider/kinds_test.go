package provider

import (
	"crypto/rand"
	"errors"
	"net/http"
	"testing"

	"isogate/extauthz/dpop"
	"isogate/extauthz/usercontext"
	"isogate/oidcprovider/code"
)

// kinds makes one of everything that somebody could bring, all of it good in its own place.
func kinds(t *testing.T, k *kit) map[string]string {
	t.Helper()
	tokens := k.tokens(k.acme)
	assertion := k.revokeAsk(k.acme, "x")
	k.request(assertion)
	now := k.now().Unix()
	return map[string]string{
		"access token": tokens.Access,
		"ID token":     tokens.ID,
		"User Context Token": demand[string](t)(k.sign(usercontext.Type, usercontext.Claims{ // under the very same keys, at worst
			Issuer: kitIssuer, Subject: "acme", Audience: kitIssuer, IssuedAt: now, Expires: now + 60, ID: rand.Text(), CloudID: k.CloudID,
		})),
		"client assertion": assertion.form.Get("client_assertion"),
		"DPoP proof":       demand[string](t)(k.acme.dpop.Make(dpop.Proof{Method: http.MethodPost, URL: kitIssuer + PathToken, Nonce: k.nonce(), Now: k.now()})),
		"code":             k.codeFor(k.acme, nil),
		"request_uri":      k.send(k.pushAsk(k.acme)).URI,
		"nonce":            k.nonce(),
	}
}

// places are where one kind is wanted, each with the answer to every other kind.
var places = []struct {
	name, wants, code string
	ask               func(*kit, string) *ask
}{
	{"client_assertion", "client assertion", invalidClient, func(k *kit, v string) *ask {
		a := k.revokeAsk(k.acme, "x")
		a.form.Set("client_assertion", v)
		return a
	}},
	{"client_assertion with client_id", "client assertion", invalidClient, func(k *kit, v string) *ask {
		a := k.revokeAsk(k.acme, "x")
		a.form.Set("client_assertion", v)
		a.form.Set("client_id", "acme")
		return a
	}},
	{"code", "code", invalidGrant, func(k *kit, v string) *ask { return k.tokenAsk(k.acme, v) }},
	{"DPoP", "DPoP proof", invalidDPoPProof, func(k *kit, v string) *ask {
		a := k.tokenAsk(k.acme, k.codeFor(k.acme, nil))
		a.proof, a.header["Dpop"] = nil, []string{v}
		return a
	}},
	{"DPoP of a pushed request", "", invalidDPoPProof, func(k *kit, v string) *ask {
		a := k.pushAsk(k.acme)
		a.header["Dpop"] = []string{v}
		return a
	}},
	{"nonce", "nonce", useDPoPNonce, func(k *kit, v string) *ask {
		a := k.tokenAsk(k.acme, k.codeFor(k.acme, nil))
		a.proof.Nonce = v
		return a
	}},
	{"request_uri of a pushed request", "", invalidRequest, func(k *kit, v string) *ask {
		a := k.pushAsk(k.acme)
		a.form.Set("request_uri", v)
		return a
	}},
	{"code_verifier", "", invalidGrant, func(k *kit, v string) *ask {
		a := k.tokenAsk(k.acme, k.codeFor(k.acme, nil))
		a.form.Set("code_verifier", v)
		return a
	}},
}

// pomerium CVE-2024-47616: every kind in every place.
func TestKinds(t *testing.T) {
	for _, place := range places {
		k := newKit(t)
		for kind, value := range kinds(t, k) {
			t.Run(kind+" as "+place.name, func(t *testing.T) {
				want := place.code
				if kind == place.wants {
					want = ""
				}
				wantCode(t, k.send(place.ask(k, value)), want)
			})
		}
	}
}

// At revocation everything else is answered with 200, and nothing may happen.
func TestKindsAtRevocation(t *testing.T) {
	k := newKit(t)
	for kind, value := range kinds(t, k) {
		k.grants.calls = nil
		wantCode(t, k.send(k.revokeAsk(k.acme, value)), "")
		if (len(k.grants.calls) > 0) != (kind == "access token") {
			t.Errorf("%s: %v", kind, k.grants.calls)
		}
	}
}

func TestKindsAsRequestURI(t *testing.T) {
	k := newKit(t)
	for kind, value := range kinds(t, k) {
		if _, err := k.Codes.Pushed(t.Context(), value); (err == nil) != (kind == "request_uri") || err != nil && !errors.Is(err, code.ErrNone) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
