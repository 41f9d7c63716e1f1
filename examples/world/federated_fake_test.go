package world

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isogate/extauthz/keys"
)

// fakeCloud stands in the place of the second cloud's OAuth server, with its certificate, and says what a test wants.
type fakeCloud struct {
	signers *keys.Signers
	par     atomic.Pointer[string] // an answer of the PAR endpoint; the usual one if nil

	mu     sync.Mutex
	pushed url.Values
	lie    func(claims map[string]any)
}

func newFakeCloud(t *testing.T) *fakeCloud {
	t.Helper()
	dir := t.TempDir()
	signers, err := keys.OpenSigners(filepath.Join(dir, "keys"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.CA.Issue(dir, "fake", "auth."+globex.domain); err != nil {
		t.Fatal(err)
	}
	served, err := serverTLS(filepath.Join(dir, "fake"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeCloud{signers: signers}
	free, err := net.Listen("tcp", local(0))
	if err != nil {
		t.Fatal(err)
	}
	site := &Site{address: free.Addr().String(), handler: f, tls: served}
	free.Close()
	if err := site.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = site.Stop() })
	name := fmt.Sprintf("%q: ", shared.Globex.host("auth"))
	edit(t, shared.Platform.File(), name+shared.Edge(), name+site.address)
	eventually(t, "the commercial side asks the fake", func() bool {
		b := watched(t)
		must(t)(b.Press(lookup(t, b, "x@globex.example"), shared.Globex.button(), nil))
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.pushed != nil
	})
	return f
}

func (f *fakeCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/oauth2/jwks":
		_, _ = w.Write(f.signers.JWKS())
	case "/oauth2/par":
		_ = r.ParseForm()
		f.pushed = r.PostForm
		w.WriteHeader(http.StatusCreated)
		if own := f.par.Load(); own != nil {
			_, _ = w.Write([]byte(*own))
			return
		}
		_, _ = w.Write([]byte(`{"request_uri": "urn:ietf:params:oauth:request_uri:fake", "expires_in": 60}`))
	case "/oauth2/token":
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "fake", "token_type": "DPoP", "expires_in": 60, "id_token": f.token()})
	case "/oauth2/session":
		_ = json.NewEncoder(w).Encode(map[string]any{"active": true, "sub": "grace", "isolated_cloud_id": shared.Globex.ID, "session_expiry": in(time.Hour)})
	}
}

func (f *fakeCloud) token() string {
	claims := map[string]any{
		"iss": shared.Globex.URL("auth", ""), "aud": Client, "sub": "grace", "iat": in(0), "exp": in(5 * time.Minute), "nonce": f.pushed.Get("nonce"),
		"isolated_cloud_id": shared.Globex.ID, "sid": "fake-grant", "session_expiry": in(time.Hour),
	}
	if f.lie != nil {
		f.lie(claims)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		return err.Error()
	}
	token, err := f.signers.Sign("JWT", raw)
	if err != nil {
		return err.Error()
	}
	return token
}

// signIn goes the whole way, with a lie in the ID token and others in the address that leads back. What a person would do at the cloud is left out.
func (f *fakeCloud) signIn(t *testing.T, b *Browser, lie func(map[string]any), answer map[string]string) Answer {
	t.Helper()
	again := leavesTo(b, shared.Globex.host("auth"))
	page := must(t)(b.Press(lookup(t, b, "grace@globex.example"), shared.Globex.button(), nil))
	again()
	if !strings.HasPrefix(page.Leads(), shared.Globex.URL("auth", "/oauth2/authorize?")) {
		t.Fatalf("the button leads to %q (%d)\n%.400s", page.Leads(), page.Status, page.Body)
	}
	f.mu.Lock()
	f.lie = lie
	query := url.Values{"code": {"fake"}, "state": {f.pushed.Get("state")}, "iss": {shared.Globex.URL("auth", "")}}
	f.mu.Unlock()
	for name, value := range answer {
		query.Set(name, value)
	}
	return must(t)(b.Open(at("id", "/.isogate/federated/callback?"+query.Encode())))
}

// hang has something listen in the place of the first cloud's check that never answers.
func hang(t *testing.T) {
	t.Helper()
	socket := filepath.Join(shared.sockets, "check-ingress.sock")
	_ = os.Remove(socket) // a process that has ended leaves it behind
	silent, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
}
