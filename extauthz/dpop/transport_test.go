package dpop

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asker is a server that judges each proof as ours do, and has its own ways with nonces.
type asker struct {
	*httptest.Server
	key     Key
	answers []func(w http.ResponseWriter, nonce string) // one a request; the last goes on
	mu      sync.Mutex
	nonces  []string // that came, in order
	bodies  []string
	tokens  []string
}

func newAsker(t *testing.T, answers ...func(w http.ResponseWriter, nonce string)) *asker {
	t.Helper()
	a := &asker{key: must[Key](t)(Generate()), answers: answers}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(t, w, r) }))
	t.Cleanup(a.Close)
	return a
}

func (a *asker) serve(t *testing.T, w http.ResponseWriter, r *http.Request) {
	token := tokenOf(r)
	want := Want{Method: r.Method, URL: "http://" + r.Host + r.URL.RequestURI(), AccessToken: token, Thumbprint: a.key.Thumbprint()}
	m := newMarks()
	m.now = time.Now()
	got, err := m.verifier().Verify(r.Context(), r.Header.Values("DPoP"), want)
	if err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	a.mu.Lock()
	at := min(len(a.nonces), len(a.answers)-1)
	a.nonces, a.bodies, a.tokens = append(a.nonces, got.Nonce), append(a.bodies, string(body)), append(a.tokens, token)
	a.mu.Unlock()
	a.answers[at](w, got.Nonce)
}

func (a *asker) client() *http.Client {
	return &http.Client{Transport: &Transport{Base: a.Server.Client().Transport, Key: a.key}}
}

// Ways to answer.
func ok(nonce string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) {
		if nonce != "" {
			w.Header().Set("DPoP-Nonce", nonce)
		}
		fmt.Fprint(w, "fine")
	}
}

func refuse(status int, nonce, body string, challenges ...string) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) {
		w.Header()["Dpop-Nonce"] = strings.Fields(nonce)
		w.Header()["Www-Authenticate"] = challenges
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

const (
	useNonce  = `{"error":"use_dpop_nonce","error_description":"a fresh one, please"}`
	challenge = `DPoP error="use_dpop_nonce", error_description="a fresh one, please"`
)

func TestTransportRepeatsOnce(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []func(http.ResponseWriter, string)
		status  int
		nonces  []string // that the server sees
	}{
		{"no nonce asked", []func(http.ResponseWriter, string){ok("")}, 200, []string{""}},
		{"authorization server", []func(http.ResponseWriter, string){refuse(400, "n-1", useNonce), ok("")}, 200, []string{"", "n-1"}},
		{"resource", []func(http.ResponseWriter, string){refuse(401, "n-1", "", `Basic realm="x"`, challenge), ok("")}, 200, []string{"", "n-1"}},
		{"another each time, without end", []func(http.ResponseWriter, string){refuse(400, "n-1", useNonce), refuse(400, "n-2", useNonce)}, 400, []string{"", "n-1"}},
		{"the same without end", []func(http.ResponseWriter, string){refuse(401, "n-1", "", challenge)}, 401, []string{"", "n-1"}},
		{"asked without a nonce", []func(http.ResponseWriter, string){refuse(400, "", useNonce)}, 400, []string{""}},
		{"two nonces", []func(http.ResponseWriter, string){refuse(400, "n-1 n-2", useNonce)}, 400, []string{""}},
		{"huge nonce", []func(http.ResponseWriter, string){refuse(400, strings.Repeat("n", maxNonce+1), useNonce)}, 400, []string{""}},
		{"largest nonce", []func(http.ResponseWriter, string){refuse(400, strings.Repeat("n", maxNonce), useNonce), ok("")}, 200, []string{"", strings.Repeat("n", maxNonce)}},
		{"no nonce's characters", []func(http.ResponseWriter, string){refuse(400, `n"1`, useNonce)}, 400, []string{""}},
		{"another error", []func(http.ResponseWriter, string){refuse(400, "n-1", `{"error":"invalid_grant"}`)}, 400, []string{""}},
		{"the word elsewhere", []func(http.ResponseWriter, string){refuse(400, "n-1", `{"error":"x","error_description":"use_dpop_nonce"}`)}, 400, []string{""}},
		{"a page", []func(http.ResponseWriter, string){refuse(400, "n-1", "<html>use_dpop_nonce")}, 400, []string{""}},
		{"more than an error", []func(http.ResponseWriter, string){refuse(400, "n-1", strings.Repeat(" ", maxRefusal)+useNonce)}, 400, []string{""}},
		{"another challenge", []func(http.ResponseWriter, string){refuse(401, "n-1", useNonce, `DPoP error="invalid_token"`)}, 401, []string{""}},
		{"another status", []func(http.ResponseWriter, string){refuse(403, "n-1", useNonce, challenge)}, 403, []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAsker(t, c.answers...)
			answer, err := a.client().Post(a.URL+"/token?x=y", "text/plain", strings.NewReader("a body"))
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != c.status {
				t.Errorf("status %d, want %d", answer.StatusCode, c.status)
			}
			if diff := cmp.Diff(c.nonces, a.nonces); diff != "" {
				t.Error(diff)
			}
			for _, body := range a.bodies {
				if body != "a body" {
					t.Errorf("the server read %q", body)
				}
			}
		})
	}
}

// What the caller gets of a refusal that was looked into is what came.
func TestTransportLeavesTheAnswerWhole(t *testing.T) {
	long := strings.Repeat("x", 3*maxRefusal)
	for _, body := range []string{"", `{"error":"invalid_grant"}`, long} {
		a := newAsker(t, refuse(400, "n-1", body))
		answer, err := a.client().Get(a.URL)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || string(got) != body {
			t.Errorf("read %d bytes (%v), want %d", len(got), err, len(body))
		}
	}
}

func TestTransportKeepsTheNonce(t *testing.T) {
	a := newAsker(t, ok("n-1"), ok(""), ok("n-2"), ok(""))
	client := a.client()
	for range 4 {
		answer, err := client.Get(a.URL)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	if diff := cmp.Diff([]string{"", "n-1", "n-1", "n-2"}, a.nonces); diff != "" {
		t.Error(diff)
	}
	other := newAsker(t, ok(""))
	other.key = a.key
	answer, err := client.Get(other.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if other.nonces[0] != "" {
		t.Error("one server's nonce went to another")
	}
}

func TestTransportToken(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []string
		want   string
	}{
		{"none", nil, ""},
		{"bound token", []string{"DPoP " + token}, token},
		{"scheme in capitals", []string{"DPOP " + token}, token},
		{"bearer token", []string{"Bearer " + token}, ""},
		{"two", []string{"DPoP " + token, "DPoP other"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAsker(t, refuse(401, "n-1", "", challenge), ok(""))
			request := must[*http.Request](t)(http.NewRequest("GET", a.URL+"/session", nil))
			request.Header["Authorization"] = c.header
			request.Header.Set("DPoP", "the caller's")
			before := request.Clone(t.Context())
			answer, err := a.client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if c.name != "two" { // with two the server has its own opinion
				if diff := cmp.Diff([]string{c.want, c.want}, a.tokens); diff != "" {
					t.Error(diff)
				}
			}
			if diff := cmp.Diff(before.Header, request.Header); diff != "" {
				t.Errorf("the caller's request has changed: %s", diff)
			}
		})
	}
}

// once can be read a single time.
type once struct {
	io.Reader
	closed *int
}

func (o once) Close() error { *o.closed++; return nil }

func TestTransportBodyThatCannotBeSentAgain(t *testing.T) {
	a := newAsker(t, refuse(400, "n-1", useNonce))
	closed := 0
	request := must[*http.Request](t)(http.NewRequest("POST", a.URL, once{strings.NewReader("a body"), &closed}))
	for _, again := range []func() (io.ReadCloser, error){nil, func() (io.ReadCloser, error) { return nil, errors.New("gone") }} {
		request.GetBody = again
		answer, err := a.client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != 400 || closed == 0 {
			t.Errorf("status %d, closed %d times", answer.StatusCode, closed)
		}
		request.Body = once{strings.NewReader(""), &closed}
	}
	if diff := cmp.Diff([]string{"", ""}, a.nonces); diff != "" {
		t.Error(diff)
	}
}

func TestTransportWithoutAKey(t *testing.T) {
	closed := 0
	request := must[*http.Request](t)(http.NewRequest("POST", "http://127.0.0.1:1/", once{strings.NewReader("a body"), &closed}))
	if _, err := (&Transport{}).RoundTrip(request); err == nil || !strings.Contains(err.Error(), "without a key") || closed != 1 {
		t.Errorf("error %v, closed %d times", err, closed)
	}
}

func TestTransportIsBounded(t *testing.T) {
	transport := &Transport{}
	for i := range 3 * maxOrigins {
		transport.keep(fmt.Sprint(i), &http.Response{Header: http.Header{"Dpop-Nonce": {"n"}}})
		if transport.nonce(fmt.Sprint(i)) != "n" {
			t.Fatal("the newest is not kept")
		}
	}
	if n := len(transport.nonces); n != maxOrigins {
		t.Errorf("%d origins, want %d", n, maxOrigins)
	}
	transport.keep("x", &http.Response{Header: http.Header{"Dpop-Nonce": {"n"}}})
	transport.keep("x", &http.Response{Header: http.Header{"Dpop-Nonce": {"n-2"}}})
	if n := len(transport.nonces); n != maxOrigins || transport.nonce("x") != "n-2" {
		t.Errorf("%d origins, want %d", n, maxOrigins)
	}
}

func TestTransportInParallel(t *testing.T) {
	a := newAsker(t, refuse(400, "n-1", useNonce), refuse(400, "n-2", useNonce), ok("n-3"))
	client := a.client()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			answer, err := client.Post(a.URL, "text/plain", strings.NewReader("a body"))
			if err != nil {
				t.Error(err)
				return
			}
			answer.Body.Close()
		})
	}
	all.Wait()
	if n := len(a.nonces); n < 16 || n > 18 {
		t.Errorf("%d requests for 16", n)
	}
}
