package daemon

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

// atSocket serves a handler on a unix socket that ListenUnix binds.
func atSocket(t *testing.T, path string, handler http.HandlerFunc) {
	t.Helper()
	listener, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
}

func fetch(t *testing.T, client *http.Client, address string) (status int, body string) {
	t.Helper()
	answer, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(raw)
}

// The host of the address decides nothing, and a proxy of the environment is not asked: whoever is named, the socket answers.
func TestUnixClientAsksItsSocketAlone(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	path := filepath.Join(t.TempDir(), "s.sock")
	client := UnixClient(path)
	if answer, err := client.Get("http://door/x"); err == nil {
		answer.Body.Close()
		t.Error("answered before anybody listened")
	}
	atSocket(t, path, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+r.URL.Path) })
	for _, host := range []string{"door", "example.com:99"} {
		if status, body := fetch(t, client, "http://"+host+"/x"); status != http.StatusOK || body != host+"/x" {
			t.Errorf("%s: %d %q", host, status, body)
		}
	}
	if client.Transport.(*http.Transport).Proxy != nil {
		t.Error("the transport has a proxy function")
	}
}

func TestUnixClientFollowsNoRedirect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	hits := 0
	atSocket(t, path, func(w http.ResponseWriter, r *http.Request) {
		hits++
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	if status, _ := fetch(t, UnixClient(path), "http://door/"); status != http.StatusFound || hits != 1 {
		t.Errorf("status %d after %d requests", status, hits)
	}
}
