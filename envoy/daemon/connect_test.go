package daemon

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tlsServer answers with the Host and the TLS name that it was asked for; its certificate is for example.com and 127.0.0.1.
func tlsServer(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return server, pool
}

func TestClientKeepsNameAndHost(t *testing.T) {
	server, roots := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("got", r.Host+" "+r.TLS.ServerName)
	})
	c := Connect{"example.com:8443": server.Listener.Addr().String()}
	answer, err := c.Client(roots).Get("https://example.com:8443/x")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := answer.Header.Get("got"); got != "example.com:8443 example.com" {
		t.Errorf("the server saw %q", got)
	}
	// The name that was asked for is the one that the certificate must have, wherever it is dialled.
	c = Connect{"other.test:8443": server.Listener.Addr().String()}
	if _, err := c.Client(roots).Get("https://other.test:8443/"); err == nil || !strings.Contains(err.Error(), "other.test") {
		t.Errorf("a certificate for another name: error = %v", err)
	}
	if _, err := (Connect{"example.com:8443": server.Listener.Addr().String()}).Client(x509.NewCertPool()).Get("https://example.com:8443/"); err == nil {
		t.Error("an unknown root was believed")
	}
}

func TestClientFollowsNoRedirect(t *testing.T) {
	hits := 0
	server, roots := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	answer, err := Connect(nil).Client(roots).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusFound || hits != 1 {
		t.Errorf("status %d after %d requests", answer.StatusCode, hits)
	}
}

// A proxy from the environment would see where we call and could answer for plain-HTTP targets.
func TestClientUsesNoProxy(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	transport := Connect(nil).Client(nil).Transport.(*http.Transport)
	if transport.Proxy != nil { // net/http reads the environment once a process, so that a request alone would prove little
		t.Error("the transport has a proxy function")
	}
	server, roots := tlsServer(t, func(http.ResponseWriter, *http.Request) {})
	c := Connect{"example.com:443": server.Listener.Addr().String()}
	answer, err := c.Client(roots).Get("https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

func TestDial(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().String()
	for name, c := range map[string]Connect{"mapped": {"name.test:1": address}, "not listed": nil} {
		asked := address
		if c != nil {
			asked = "name.test:1"
		}
		conn, err := c.Dial(t.Context(), "tcp", asked)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := conn.RemoteAddr().String(); got != address {
			t.Errorf("%s: dialled %s", name, got)
		}
		conn.Close()
	}
	// Only the exact host:port is mapped.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Connect{"name.test:1": address}).Dial(ctx, "tcp", "name.test:2"); err == nil {
		t.Error("another port was mapped")
	}
}

func TestConnectValidate(t *testing.T) {
	f := NewFaults()
	Connect{"a.test:443": "127.0.0.1:8443", "b.test": "127.0.0.1:1", "c.test:1": "127.0.0.1:", "https://d.test:1": "d:1"}.Validate(f)
	var got []string
	for _, fault := range f.All() {
		got = append(got, fault.Text)
	}
	want := []string{
		`"127.0.0.1:" must end in a port from 1 to 65535`,
		`"b.test" must be host:port, such as 127.0.0.1:8443`,
		`"https://d.test:1" must be host:port, such as 127.0.0.1:8443`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRoots(t *testing.T) {
	server, _ := tlsServer(t, func(http.ResponseWriter, *http.Request) {})
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.pem"), filepath.Join(dir, "bad.pem")
	put(t, good, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	put(t, bad, "nothing")
	pool, err := Roots(Path(good))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Connect(nil).Client(pool).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if _, err := Roots(Path(bad)); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("no PEM: error = %v", err)
	}
	if _, err := Roots(Path(good + ".none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: error = %v", err)
	}
	if pool, err := Roots(""); err != nil || pool == nil {
		t.Errorf("none given: %v, %v; want those of the system", pool, err)
	}
}
