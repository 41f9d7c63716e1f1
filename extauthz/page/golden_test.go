package page

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata and delete what no page owns")

const (
	signIn = "https://auth.acme.example/.isogate/signin?flow=AbC-1_2"
	home   = "https://wiki.acme.example/"
)

// The forms of the pages outside.
var (
	start    = Form{"/.isogate/federated/start", []Field{{"cloud", "acme-9f3b6c1d"}, {"flow", "AbC-1_2"}}}
	standard = Form{"/.isogate/signin", []Field{{"cloud", "acme-9f3b6c1d"}, {"flow", "AbC-1_2"}}}
)

// pages is one of each page, by the name of its golden file.
var pages = map[string]Answer{
	"ask-email":              AskEmail("/.isogate/signin", []Field{{"flow", "AbC-1_2"}}, "", ""),
	"ask-email-again":        AskEmail("/.isogate/signin", []Field{{"flow", "AbC-1_2"}}, "kim@nowhere.example", NoProvider),
	"session":                Session(Own{Name: "Kim <b>", Email: "kim@acme.example", Provider: "Acme", SignedIn: time.Date(2026, 11, 24, 9, 5, 0, 0, time.UTC), Idle: 30 * time.Minute, Ends: time.Date(2026, 11, 24, 21, 5, 0, 0, time.UTC)}, "/.isogate/logout"),
	"bad-request":            Refused(400, "bad-request"),
	"choose":                 Choose([]Choice{{"Acme Staff", "/.isogate/signin?provider=staff"}, {"Acme Partners", "https://auth.acme.example/.isogate/signin?provider=partners"}}),
	"confirm":                Confirm("/oauth2/decision", "Müller & Söhne <Support>", []Field{{"form", "AbC-1_2"}}),
	"not-managed":            NotManaged("/oauth2/decision", "Müller & Söhne <Support>", []Field{{"form", "AbC-1_2"}}),
	"authorization-request":  Refused(400, "authorization-request"),
	"continue":               Continue(signIn + "&again=1"),
	"cross-origin":           Refused(403, "cross-origin"),
	"misdirected":            Refused(421, "misdirected"),
	"not-allowed-domain":     NotAllowed("email-domain", signIn),
	"not-allowed-unknown":    NotAllowed("something-else", ""),
	"not-allowed-unverified": NotAllowed("email-not-verified", ""),
	"not-found":              Refused(404, "not-found"),
	"policy":                 Refused(403, "policy"),
	"provider-unavailable":   ProviderUnavailable("/.isogate/signin?flow=AbC-1_2"),
	"rate":                   Refused(429, "rate"),
	"session-ended":          Denial(401, "session-ended", true, signIn),
	"sign-out":               SignOut("/.isogate/logout", "wiki.acme.example:8443", home),
	"signed-out":             SignedOut(home),
	"start-again":            StartAgain(home),
	"unauthenticated":        Denial(401, "unauthenticated", true, signIn),
	"unavailable":            Refused(503, "unavailable"),

	"ask-address":        AskAddress(Form{"/.isogate/signin", []Field{{"flow", "AbC-1_2"}}}, ""),
	"ask-address-again":  AskAddress(Form{"/.isogate/signin", []Field{{"flow", "AbC-1_2"}}}, NotAnAddress),
	"cloud-unavailable":  CloudUnavailable(home),
	"not-federated":      NotFederated("https://auth.acme.example/.isogate/logout"),
	"outside-sign-out":   OutsideSignOut("/.isogate/logout", "support.commercial.example:8443", home, time.Minute),
	"outside-signed-out": OutsideSignedOut(home, time.Minute),
	"outside-unheard":    OutsideSignedOutUnheard(home),
	"sign-in-cancelled":  SignInCancelled(home),
	"standard-refused":   StandardRefused("Müller & Söhne <Acme>", start, "/again?flow=f&x=1"),
	"ways":               Ways("Müller & Söhne <Acme>", start, []string{"Sign in with a password", "Sign in <with> a passkey"}, standard, "/again?flow=f"),
	"ways-standard":      Ways("", start, []string{"Sign in with a password"}, standard, ""),
}

// content is the body without the stylesheet, which has a test of its own, so
// that a changed colour does not touch every golden file.
func content(a Answer) string {
	return strings.Replace(string(a.Body), style, "/* style.css */", 1)
}

func TestGolden(t *testing.T) {
	for name, a := range pages {
		file := filepath.Join("testdata", name+".golden.html")
		got := content(a)
		if *update {
			write(t, file, got)
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: (-golden +page)\n%s", name, diff)
		}
	}
}

func TestGoldenHasNoOrphans(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := pages[strings.TrimSuffix(filepath.Base(file), ".golden.html")]; ok {
			continue
		}
		if !*update {
			t.Errorf("no page owns %s", file)
		} else if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
