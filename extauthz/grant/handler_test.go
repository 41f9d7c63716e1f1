package grant

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func ask(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestOnlyWellFormedCallsReachTheKeeper(t *testing.T) {
	const good, naming = `{"session":"S","client":"C"}`, `{"grant":"G","client":"C"}`
	tests := []struct {
		name, method, path, in string
		want                   int
	}{
		{"open", "POST", "/open", good, 200},
		{"redeem", "POST", "/redeem", naming, 200},
		{"end", "POST", "/end", naming, 200},
		{"space around", "POST", "/open", " \n" + good + "\n ", 200},
		{"the largest", "POST", "/open", good + strings.Repeat(" ", maxBody-len(good)), 200},
		{"one byte more", "POST", "/open", good + strings.Repeat(" ", maxBody-len(good)+1), 400},
		{"huge", "POST", "/open", `{"session":"` + strings.Repeat("S", 1<<20) + `","client":"C"}`, 400},
		{"nothing", "POST", "/open", "", 400},
		{"null", "POST", "/open", "null", 400},
		{"a list", "POST", "/open", "[" + good + "]", 400},
		{"a word", "POST", "/open", `"S"`, 400},
		{"form", "POST", "/open", "session=S&client=C", 400},
		{"cut short", "POST", "/open", good[:20], 400},
		{"two objects", "POST", "/open", good + good, 400},
		{"something follows", "POST", "/open", good + "x", 400},
		{"an unknown member", "POST", "/open", `{"session":"S","client":"C","x":null}`, 400},
		{"no session", "POST", "/open", `{"client":"C"}`, 400},
		{"an empty session", "POST", "/open", `{"session":"","client":"C"}`, 400},
		{"no client", "POST", "/open", `{"session":"S"}`, 400},
		{"a number", "POST", "/open", `{"session":1,"client":"C"}`, 400},
		{"a grant is not opened", "POST", "/open", naming, 400},
		{"a session is not redeemed", "POST", "/redeem", good, 400},
		{"nor ended", "POST", "/end", good, 400},
		{"an empty grant", "POST", "/end", `{"grant":"","client":"C"}`, 400},
		{"GET", "GET", "/open", good, 405},
		{"PUT", "PUT", "/redeem", naming, 405},
		{"DELETE", "DELETE", "/end", naming, 405},
		{"another path", "POST", "/list", naming, 404},
		{"below a path", "POST", "/open/x", good, 404},
		{"the root", "POST", "/", good, 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &keeper{opened: Opened{Grant: "G", Expiry: expiry}}
			log, out := logged()
			got := ask(Handler(k, log), tt.method, tt.path, tt.in)
			if got.Code != tt.want || (len(k.asked) == 1) != (tt.want == 200) {
				t.Errorf("%d, asked %q", got.Code, k.asked)
			}
			if out.Len() != 0 {
				t.Errorf("what anybody may send is logged: %s", out)
			}
		})
	}
}

// The cause is for the log alone.
func TestAFaultIsLoggedAndNotTold(t *testing.T) {
	for name, k := range map[string]*keeper{
		"the keeper fails":             {err: errors.New("the disk is gone")},
		"a time that is none in JSON":  {opened: Opened{Grant: "G", Expiry: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"a grant beside the fault":     {opened: Opened{Grant: "G", Expiry: expiry}, err: errors.New("the disk is gone")},
		"the fault of a closed socket": {err: http.ErrServerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			log, out := logged()
			got := ask(Handler(k, log), "POST", "/open", `{"session":"secret-id","client":"C"}`)
			if got.Code != http.StatusServiceUnavailable || strings.Contains(got.Body.String(), "disk") || strings.Contains(got.Body.String(), `"G"`) {
				t.Errorf("%d %s", got.Code, got.Body)
			}
			if strings.Count(out.String(), "cause=") != 1 || strings.Contains(out.String(), "secret") {
				t.Errorf("the log says: %s", out)
			}
		})
	}
}

// Whatever is sent: the answer is 200, where the keeper was asked about exactly that, or 400.
func FuzzHandler(f *testing.F) {
	for _, seed := range []string{
		`{"session":"S","client":"C"}`, `{"grant":"G","client":"C"}`, `{"session":"S","client":"C"}x`, `{"session":"S","client":"C","client":"D"}`,
		`{"SESSION":"S","client":"\ud800"}`, "null", "[]", "{}", "", "\xff", `{"session":{"a":[]},"client":1e999}`, strings.Repeat("[", 5000),
	} {
		f.Add("/open", seed)
		f.Add("/end", seed)
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		if path != "/open" && path != "/end" {
			path = "/redeem"
		}
		k := &keeper{opened: Opened{Grant: "G", Expiry: expiry}}
		got := ask(Handler(k, slog.New(slog.DiscardHandler)), "POST", path, body)
		switch {
		case got.Code == http.StatusBadRequest && len(k.asked) == 0:
		case got.Code == http.StatusOK && len(k.asked) == 1:
			if want := said(t, path, body); k.asked[0] != want || len(body) > maxBody {
				t.Errorf("asked %q, not %q", k.asked[0], want)
			}
		default:
			t.Errorf("%d, asked %q", got.Code, k.asked)
		}
	})
}

// said reads a call in another way, word by word.
func said(t *testing.T, path, body string) string {
	d := json.NewDecoder(strings.NewReader(body))
	next := func() json.Token {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%q is no object of text: %v", body, err)
		}
		return token
	}
	id, client, first := "", "", map[bool]string{true: "session", false: "grant"}[path == "/open"]
	for next(); d.More(); {
		name := next().(string)
		value, text := next().(string)
		switch {
		case !text: // null changes nothing; everything else would have been refused
		case strings.EqualFold(name, first):
			id = value
		case strings.EqualFold(name, "client"):
			client = value
		default:
			t.Fatalf("%q has a member %q", body, name)
		}
	}
	if id == "" || client == "" {
		t.Fatalf("%q is not complete", body)
	}
	return path[1:] + " " + id + " " + client
}
