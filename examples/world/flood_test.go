package world

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Memory and store grow with nothing that strangers send, and whoever is signed in does not notice the flood.

// forged is a value of 256 bits that is well formed and nobody's.
func forged() string {
	value := make([]byte, 32)
	start, _ := base64.RawURLEncoding.DecodeString(marker) // twelve letters are nine bytes
	rand.Read(value[copy(value, start):])                  // it never returns an error
	return base64.RawURLEncoding.EncodeToString(value)
}

func TestFloodOfForgedSessionCookies(t *testing.T) {
	b := signedIn(t, "bob")
	cutLogs(t, marker)
	malformed := []string{"", "x", marker, marker + strings.Repeat("A", 500), marker + "%00", `"` + marker + `"`, marker + strings.Repeat("A", 30) + "=", marker + "é"}
	hits := shared.Products["wiki"].Hits()
	counts := flood(t, b, "wiki", size(100_000), func(i int) []byte {
		value := forged()
		if i%10 == 0 {
			value = malformed[i/10%len(malformed)]
		}
		return plain("GET", "wiki", "/rest/api/page/1", append(slices.Clone(asFetch), "Cookie: theme=dark; "+handleCookie+"="+value)...)
	})
	wantOnly(t, counts, 401)
	if reached := shared.Products["wiki"].Hits() - hits; reached != 0 {
		t.Errorf("%d of these requests reached the product", reached)
	}
}

// begun are addresses of sign-ins that were begun, as an attacker gets them for nothing.
func begun(t *testing.T, n int) (flows []string) {
	t.Helper()
	for i := range n {
		answer, err := once("issues", plain("GET", "issues", fmt.Sprintf("/%s/%d", marker, i), asNavigation...))
		if err != nil {
			t.Fatal(err)
		}
		to, err := url.Parse(answer.Header.Get("Location"))
		if err != nil || answer.StatusCode != 302 || to.Query().Get("flow") == "" {
			t.Fatalf("%d, to %q", answer.StatusCode, answer.Header.Get("Location"))
		}
		flows = append(flows, to.Query().Get("flow"))
	}
	return flows
}

func TestFloodOfSignInStarts(t *testing.T) {
	b := signedIn(t, "bob")
	cutLogs(t, marker)
	t.Run("at a product", func(t *testing.T) {
		counts := flood(t, b, "issues", size(20_000), func(i int) []byte {
			return plain("GET", "issues", fmt.Sprintf("/%s/%d?q=%s", marker, i, forged()), asNavigation...)
		})
		wantOnly(t, counts, 302)
	})
	t.Run("at the auth host", func(t *testing.T) {
		flows := begun(t, 20)
		counts := flood(t, b, "auth", size(2_000), func(i int) []byte {
			return plain("GET", "auth", "/.isogate/signin?flow="+flows[i%len(flows)], asNavigation...)
		})
		wantOnly(t, counts, 302)
	})
}

func TestFloodOfForgedValuesAtTheDoor(t *testing.T) {
	b := signedIn(t, "bob")
	cutLogs(t, marker)
	flow := begun(t, 1)[0]
	flipped := flow[:len(flow)-1] + string(flow[len(flow)-1]^1)
	values := []func() string{
		forged, func() string { return flow }, func() string { return flipped }, func() string { return marker }, func() string { return "" },
		func() string { return strings.Repeat(marker, 300) }, func() string { return marker + "%00%0d%0a" }, func() string { return forged() + "&x=%zz" },
	}
	targets := []string{
		"/.isogate/callback?code=" + marker + "&state=", "/.isogate/callback?error=" + marker + "&state=", "/.isogate/enter?ticket=", "/.isogate/logout?leave=",
		"/.isogate/signin?prompt=login&provider=x&flow=" + marker + "&x=", "/.isogate/callback?state=a&state=", "/.isogate/enter?a;b=", "/.isogate/session?",
	}
	counts := flood(t, b, "auth", size(10_000), func(i int) []byte {
		kind := asNavigation
		if i%7 == 0 {
			kind = asFetch
		}
		return plain("GET", "auth", targets[i%len(targets)]+values[i/len(targets)%len(values)](), kind...)
	})
	wantNoFault(t, counts)
}

// A ticket is looked for in the store, where each look could be a write.
func TestFloodOfForgedTickets(t *testing.T) {
	b := signedIn(t, "bob")
	cutLogs(t, marker)
	counts := flood(t, b, "issues", size(2_000), func(int) []byte {
		return plain("GET", "issues", "/.isogate/enter?ticket="+forged(), append(slices.Clone(asNavigation), "Cookie: "+flowCookie+"0="+forged())...)
	})
	wantOnly(t, counts, 400)
}

func TestFloodOfForgedForms(t *testing.T) {
	b := signedIn(t, "bob")
	cutLogs(t, marker)
	bodies := []string{
		"email=" + marker + "@elsewhere.example", "email=" + strings.Repeat("%40", 3000), "flow=" + marker, "email=a@acme.example&email=b@acme.example",
		strings.Repeat("x", 20<<10), marker, "%zz", "",
	}
	counts := flood(t, b, "auth", size(4_000), func(i int) []byte {
		body, path := bodies[i%len(bodies)], []string{"/.isogate/signin", "/.isogate/logout"}[i/len(bodies)%2]
		return append(plain("POST", "auth", path, append(slices.Clone(asNavigation), "Origin: "+shared.URL("auth", ""), fmt.Sprint("Content-Length: ", len(body)),
			"Content-Type: application/x-www-form-urlencoded")...), body...)
	})
	wantNoFault(t, counts)
}

func wantNoFault(t *testing.T, counts map[int]int) {
	t.Helper()
	for status, n := range counts {
		if status >= 500 {
			t.Errorf("%d of the answers were %d", n, status)
		}
	}
	if counts[400] == 0 {
		t.Errorf("nothing was refused: %v", counts)
	}
}
