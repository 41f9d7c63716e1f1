package page

import (
	"bytes"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decisions are both pages, for what holds of both.
func decisions(action, client string, carry []Field) map[string]Answer {
	return map[string]Answer{"confirm": Confirm(action, client, carry), "not managed": NotManaged(action, client, carry)}
}

// A browser without script sends one decision: that of the button which was selected. The first one is what the Enter key means.
func TestDecisions(t *testing.T) {
	button := regexp.MustCompile(`<button class="([a-z ]+)" type="submit" name="decision" value="([a-z]+)">([A-Za-z ]+)</button>`)
	want := map[string][][]string{
		"confirm":     {{"button", DecisionGo, "Continue"}, {"button secondary", DecisionCancel, "Cancel"}},
		"not managed": {{"button", DecisionCancel, "Go back"}},
	}
	for name, a := range decisions("/oauth2/decision", "Support", []Field{{"sealed", "a-_b"}, {"client", "x"}}) {
		var got [][]string
		for _, found := range button.FindAllStringSubmatch(string(a.Body), -1) {
			got = append(got, found[1:])
		}
		if diff := cmp.Diff(want[name], got); diff != "" || bytes.Count(a.Body, []byte("<button")) != len(got) {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		for _, once := range []string{
			`<form class="action" method="post" action="/oauth2/decision">`,
			`<input name="sealed" type="hidden" value="a-_b">`, `<input name="client" type="hidden" value="x">`,
		} {
			if bytes.Count(a.Body, []byte(once)) != 1 {
				t.Errorf("%s lacks %s\n%s", name, once, content(a))
			}
		}
		if got := header(a, "referrer-policy"); got != "same-origin" {
			t.Errorf("%s: referrer policy %q: a browser would say Origin: null", name, got)
		}
	}
}

func TestDecisionsArePostedToTheirOwnHostForANamedService(t *testing.T) {
	for _, action := range append([]string{"https://evil.example/"}, bad...) {
		for name, a := range decisions(action, "Support", nil) {
			if a.Status != 503 || bytes.Contains(a.Body, []byte("<form")) {
				t.Errorf("%s posts to %q", name, action)
			}
		}
	}
	for name, a := range decisions("/oauth2/decision", "", nil) {
		if a.Status != 503 || bytes.Contains(a.Body, []byte("<form")) {
			t.Errorf("%s asks about nobody", name)
		}
	}
}

// The name is text of a file and is shown as it is; what is carried comes back escaped.
func TestDecisionsEscape(t *testing.T) {
	for _, hostile := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, "</title><h1>x</h1>", "{{.Title}}", strings.Repeat("W", 64)} {
		for page, a := range decisions("/oauth2/decision", hostile, []Field{{"sealed", hostile}}) {
			if regexp.MustCompile(`<(script|img)`).Match(a.Body) || bytes.Count(a.Body, []byte("<h1>")) != 1 || bytes.Count(a.Body, []byte("</title>")) != 1 {
				t.Errorf("%s(%q):\n%s", page, hostile, content(a))
			}
			if got := strings.Count(html.UnescapeString(content(a)), hostile); got < 2 {
				t.Errorf("%s shows or carries %q %d times", page, hostile, got)
			}
		}
	}
}

// What a page promises about a service must be what the tokens keep: neither name nor address is in them.
func TestConfirmSaysWhatIsLearnt(t *testing.T) {
	text := html.UnescapeString(content(Confirm("/oauth2/decision", "Support", nil)))
	for _, want := range []string{"<h1>Continue to Support?</h1>", "member of this organisation’s cloud", "an identifier that means nothing elsewhere", "does not learn your name or your e-mail address"} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if a := NotManaged("/oauth2/decision", "Support", nil); a.Status != 403 || !bytes.Contains(a.Body, []byte("Reason: domain-not-managed ")) {
		t.Errorf("not managed: %d\n%s", a.Status, content(a))
	}
}
