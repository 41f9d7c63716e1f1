package page

import (
	"bytes"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outside is one of each page with a form, whose form posts to an action.
func outside(action string) map[string]Answer {
	to := Form{Action: action}
	return map[string]Answer{
		"address":       AskAddress(to, ""),
		"cloud":         Ways("Acme", to, nil, standard, ""),
		"standard":      Ways("Acme", start, []string{"Password"}, to, ""),
		"standard only": Ways("", to, []string{"Password"}, to, ""),
		"refused":       StandardRefused("Acme", to, ""),
		"sign-out":      OutsideSignOut(action, "support.commercial.example", "", time.Minute),
	}
}

func TestOutsideFormsPostToTheirOwnHostOnly(t *testing.T) {
	for _, action := range append([]string{"https://evil.example/"}, bad...) {
		for name, a := range outside(action) {
			if a.Status != 503 || bytes.Contains(a.Body, []byte("<form")) {
				t.Errorf("%s posts to %q", name, action)
			}
		}
	}
	for name, a := range outside("/x") {
		if a.Status == 503 || !bytes.Contains(a.Body, []byte(`action="/x"`)) {
			t.Errorf("%s does not post to its own host", name)
		}
	}
}

// Each form sends what belongs to it and no other form's field, and the Enter key in none of them means something that is not shown first.
func TestWaysAreSeparateForms(t *testing.T) {
	a := Ways("Acme", Form{"/start", []Field{{"cloud", "a"}}}, []string{"Password", "Passkey"}, Form{"/others", []Field{{"flow", "f"}}}, "")
	form := regexp.MustCompile(`(?s)<form class="action" method="post" action="([^"]*)">(.*?)</form>`)
	part := regexp.MustCompile(`<(?:input|button)[^>]*>[^<]*`)
	var got []string
	for _, found := range form.FindAllStringSubmatch(string(a.Body), -1) {
		got = append(got, found[1])
		for _, line := range part.FindAllString(found[2], -1) {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		"/start", `<input name="cloud" type="hidden" value="a">`, `<button class="button" type="submit">Continue with Acme`,
		"/others", `<input name="flow" type="hidden" value="f">`,
		`<button class="button secondary" type="submit" name="standard" value="Password">Password`,
		`<button class="button secondary" type="submit" name="standard" value="Passkey">Passkey`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestOutsideEscapes(t *testing.T) {
	const hostile = `"><script>alert(1)</script><input name="x`
	carried := Form{"/x", []Field{{"flow", hostile}}}
	for name, a := range map[string]Answer{
		"address": AskAddress(carried, ""), "alert": AskAddress(Form{Action: "/x"}, hostile), "organisation": Ways(hostile, start, nil, standard, "/"+hostile),
		"option": Ways("", start, []string{hostile}, standard, hostile), "start": Ways("Acme", carried, nil, standard, ""), "refused": StandardRefused(hostile, start, hostile),
	} {
		if bytes.Contains(a.Body, []byte("<script")) || bytes.Contains(a.Body, []byte(`name="x`)) || !bytes.Contains(a.Body, []byte("&lt;script&gt;")) {
			t.Errorf("%s:\n%s", name, content(a))
		}
	}
}

// A page that has no way to offer must not look as if it had.
func TestNoWaysIsUnavailable(t *testing.T) {
	if a := Ways("", start, nil, standard, ""); a.Status != 503 || bytes.Contains(a.Body, []byte("<form")) {
		t.Errorf("status %d\n%s", a.Status, content(a))
	}
}

// The sign-out outside promises no more than it does.
func TestOutsideSignOutSaysWhatGoesOn(t *testing.T) {
	for name, a := range map[string]Answer{
		"before": OutsideSignOut("/x", "support.commercial.example", home, 90*time.Second), "after": OutsideSignedOut(home, 90*time.Second),
	} {
		for _, want := range []string{"within 90 seconds", "you stay signed in until you sign out there"} {
			if !strings.Contains(html.UnescapeString(string(a.Body)), want) {
				t.Errorf("%s does not say %q", name, want)
			}
		}
	}
}

func TestOutsideStatus(t *testing.T) {
	for name, want := range map[string]int{
		"ask-address": 200, "ask-address-again": 422, "ways": 200, "standard-refused": 403, "sign-in-cancelled": 403, "not-federated": 403, "cloud-unavailable": 503,
	} {
		if got := pages[name].Status; got != want {
			t.Errorf("%s: status %d, want %d", name, got, want)
		}
	}
	for name, a := range outside("/x") {
		if got, want := header(a, "referrer-policy"), map[bool]string{true: "same-origin", false: "no-referrer"}[name == "sign-out"]; got != want {
			t.Errorf("%s: referrer policy %q, want %q", name, got, want)
		}
	}
}
