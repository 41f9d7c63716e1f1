package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/extauthz/grant"
	"isogate/extauthz/keys"
	"isogate/extauthz/usercontext"
)

// opening is extauthz, which opens a grant for everybody.
type opening struct{ *kitGrants }

func (o opening) Open(_ context.Context, session, client string) (grant.Opened, error) {
	return grant.Opened{Grant: "grant-1", Expiry: o.expiry}, o.call("open", session, client, nil)
}

// bodyOf is the JSON that an endpoint for programs answers with over HTTP.
func bodyOf(t *testing.T, h http.Handler, r *http.Request, status int) (body map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != status || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %d %v %s", r.URL.Path, w.Code, w.Header(), w.Body)
	}
	_ = json.Unmarshal(w.Body.Bytes(), &body) // revoke answers without one
	return body
}

// The whole way through all endpoints: a client pushes, a person confirms, the client redeems the code and revokes the token.
func TestTheWholeWay(t *testing.T) {
	k := newKit(t)
	people := must(keys.OpenSigners(t.TempDir(), k.now))(t)
	k.People = usercontext.Verifier{Issuer: kitIssuer, Audience: "oidcprovider", Keys: people, Now: k.now}
	k.Clients["acme"].Name = "Acme" // people see it
	k.Grants, k.Log, k.Requests = opening{k.grants}, slog.New(slog.DiscardHandler), Metrics(prometheus.NewRegistry())
	browse := func(r *http.Request) *httptest.ResponseRecorder {
		now := k.now().Unix()
		claims := fmt.Sprintf(`{"iss":%q,"sub":"ada","aud":"oidcprovider","iat":%d,"exp":%d,"sid":"s","auth_time":%d,"isolated_cloud_id":%q,"managed":true,"session_expiry":%d}`,
			kitIssuer, now, now+300, now-9, k.CloudID, now+60)
		r.Header.Set(usercontext.Header, must(people.Sign(usercontext.Type, []byte(claims)))(t))
		w := httptest.NewRecorder()
		k.ServeHTTP(w, r)
		return w
	}

	pushed := bodyOf(t, k, k.request(k.pushAsk(k.acme)), http.StatusCreated)
	query := url.Values{"client_id": {"acme"}, "request_uri": {pushed["request_uri"].(string)}}
	asked := browse(httptest.NewRequest(http.MethodGet, PathAuthorize+"?"+query.Encode(), nil))
	pressed := url.Values{"decision": {"continue"}, "request": {sealedIn(t, asked)}}
	form := httptest.NewRequest(http.MethodPost, PathDecision, strings.NewReader(pressed.Encode()))
	form.Header.Set("Content-Type", formType)
	back := leads(t, browse(form))
	got := back.Query()
	if !strings.HasPrefix(back.String(), acmeRedirect+"&code=") || got.Get("state") != "a-state" || got.Get("iss") != kitIssuer {
		t.Fatalf("back at the client: %s", back)
	}

	tokens := bodyOf(t, k, k.request(k.tokenAsk(k.acme, got.Get("code"))), http.StatusOK)
	expect := keys.Expect{Type: "JWT", Issuer: kitIssuer, Audience: "acme", Now: k.now}
	raw := must(keys.Verify(t.Context(), tokens["id_token"].(string), k.Signer, expect))(t)
	if !strings.Contains(string(raw), `"sid":"grant-1"`) || strings.Contains(string(raw), "ada") {
		t.Errorf("the ID token: %s", raw)
	}
	bodyOf(t, k, k.request(k.revokeAsk(k.acme, tokens["access_token"].(string))), http.StatusOK)
	if want := []string{"open s of acme", "redeem grant-1 of acme", "end grant-1 of acme"}; !slices.Equal(k.grants.calls, want) {
		t.Errorf("calls: %v", k.grants.calls)
	}
	k.add(time.Second)
	if again := bodyOf(t, k, k.request(k.tokenAsk(k.acme, got.Get("code"))), http.StatusBadRequest); again["error"] != invalidGrant {
		t.Errorf("the code again: %v", again)
	}
}
