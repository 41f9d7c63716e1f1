package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/extauthz/keys"
	"isogate/extauthz/usercontext"
	"isogate/oidcprovider/provider"
)

// folder is a place with everything that a file names. Sockets need a short path.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder {
	t.Helper()
	dir, err := os.MkdirTemp("", "op")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := folder{t, dir}
	f.write("pairwise", strings.Repeat("p", 32)+"\n")
	f.write("shop.json", f.jwks("shop"))
	f.write("isolated.yaml", strings.Replace(whole, "127.0.0.1:9903", freePort(t), 1))
	return f
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

// write replaces a file as an editor does, whole.
func (f folder) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name+".new"), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.path(name+".new"), f.path(name)); err != nil {
		f.t.Fatal(err)
	}
}

// edit changes the file.
func (f folder) edit(old, fresh string) {
	f.t.Helper()
	raw, err := os.ReadFile(f.path("isolated.yaml"))
	if err != nil || !strings.Contains(string(raw), old) {
		f.t.Fatalf("%v, or the file does not hold %q", err, old)
	}
	f.write("isolated.yaml", strings.Replace(string(raw), old, fresh, 1))
}

// jwks is a fresh public key set with one key of a name.
func (f folder) jwks(kid string) string {
	f.t.Helper()
	signers, err := keys.OpenSigners(f.t.TempDir(), time.Now)
	if err != nil {
		f.t.Fatal(err)
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(signers.JWKS(), &set); err != nil {
		f.t.Fatal(err)
	}
	set.Keys[0]["kid"] = kid
	raw, err := json.Marshal(set)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(raw)
}

// begin builds the units of the folder's file.
func (f folder) begin() ([]daemon.Unit, *daemon.Process, error) {
	f.t.Helper()
	c, err := loadConfig(f.path("isolated.yaml"))
	if err != nil {
		f.t.Fatal(err)
	}
	p := &daemon.Process{File: f.path("isolated.yaml"), Log: slog.New(slog.DiscardHandler), Admin: daemon.NewAdmin()}
	units, err := start(f.t.Context(), p, c)
	return units, p, err
}

// run runs the daemon until the test ends.
func (f folder) run() *daemon.Process {
	f.t.Helper()
	units, p, err := f.begin()
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, u := range units {
		all.Go(func() {
			if err := u.Run(ctx); err != nil {
				f.t.Errorf("%s: %v", u.Name, err)
			}
		})
	}
	f.t.Cleanup(func() { stop(); all.Wait() })
	return p
}

func (f folder) ask(path string) (status int, body string) {
	f.t.Helper()
	answer, err := daemon.UnixClient(f.path("run/oauth.sock")).Get("http://evil.example" + path)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer.StatusCode, string(raw)
}

// status is what the admin listener says at an address.
func status(p *daemon.Process, path string) (int, string) {
	w := httptest.NewRecorder()
	p.Admin.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came to: %s", what)
		}
	}
}

// The daemon starts alone, and is ready as soon as extauthz tells it its keys.
func TestStartsWithoutExtauthzAndWithoutClients(t *testing.T) {
	f := newFolder(t)
	f.edit(whole[strings.Index(whole, "  clients:"):strings.Index(whole, "  listeners:")], "")
	p := f.run()
	if code, body := f.ask(provider.PathOpenID); code != http.StatusOK || !strings.Contains(body, `"issuer":"https://auth.acme.example"`) {
		t.Errorf("discovery: %d %s", code, body)
	}
	if code, body := f.ask(provider.PathJWKS); code != http.StatusOK || !strings.Contains(body, `"kid"`) {
		t.Errorf("keys: %d %s", code, body)
	}
	if code, body := status(p, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "extauthz does not answer") {
		t.Errorf("ready without extauthz: %d %s", code, body)
	}
	if code, body := status(p, "/metrics"); code != http.StatusOK || !strings.Contains(body, `isogate_oauth_requests_total{endpoint="discovery",result="ok"} 1`) {
		t.Errorf("metrics: %d", code)
	}
	signers, err := keys.OpenSigners(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := daemon.ListenUnix(f.path("run/door.sock"))
	if err != nil {
		t.Fatal(err)
	}
	door := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == usercontext.JWKSPath {
			_, _ = w.Write(signers.JWKS())
		}
	})}
	go func() { _ = door.Serve(listener) }()
	t.Cleanup(func() { _ = door.Close() })
	eventually(t, "ready", func() bool { code, _ := status(p, "/readyz"); return code == http.StatusOK })
}

func TestWhatKeepsItFromStarting(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(folder)
		want  []string
	}{
		"no pairwise key":          {func(f folder) { _ = os.Remove(f.path("pairwise")) }, []string{"oidcprovider.keys.pairwise:", "head -c 32 /dev/urandom", "never change"}},
		"a short pairwise key":     {func(f folder) { f.write("pairwise", strings.Repeat("p", 31)+"\n") }, []string{"oidcprovider.keys.pairwise:", "fewer than 32 bytes"}},
		"no key file of a client":  {func(f folder) { _ = os.Remove(f.path("shop.json")) }, []string{"cloud.clients[0].jwks", "client shop", "shop.json"}},
		"a broken one":             {func(f folder) { f.write("shop.json", "{") }, []string{"cloud.clients[0].jwks", "client shop", "shop.json"}},
		"one with a private key":   {func(f folder) { f.write("shop.json", privateJWKS(f.t)) }, []string{"client shop", "shop.json", "without a usable key"}},
		"no roots":                 {func(f folder) { f.edit("connect: {}", "ca: none.pem") }, []string{"oidcprovider.ca", "none.pem"}},
		"a signing key that is no": {func(f folder) { _ = os.Mkdir(f.path("signing"), 0o700); f.write("signing/a.pem", "x") }, []string{"signing"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			c.spoil(f)
			_, _, err := f.begin()
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "ppp") {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}

// privateJWKS is a key set that its owner must not have given away.
func privateJWKS(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	var out bytes.Buffer
	_ = json.NewEncoder(&out).Encode(map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "kid": "k", "x": b64(public[1:33]), "y": b64(public[33:]), "d": b64(raw),
	}}})
	return out.String()
}
