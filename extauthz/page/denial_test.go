package page

import (
	"encoding/json"
	"html"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryReasonHasBothForms(t *testing.T) {
	for _, reason := range Reasons() {
		text := texts[reason]
		page := html.UnescapeString(string(Denial(403, reason, true, "").Body))
		for _, want := range []string{"<h1>" + text.title + "</h1>", "<p>" + text.detail + "</p>", "Reason: " + reason + " "} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: page lacks %q", reason, want)
			}
		}
		got := decode(t, Denial(403, reason, false, signIn))
		want := map[string]any{"type": "about:blank", "title": "Forbidden", "status": 403.0, "detail": text.detail, "reason": reason, "sign_in": signIn}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", reason, diff)
		}
	}
}

func decode(t *testing.T, a Answer) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.Body, &m); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
	return m
}

func TestEveryGeneralTextExists(t *testing.T) {
	for status, reason := range generic {
		if _, ok := texts[reason]; !ok {
			t.Errorf("%d has the general text of %q, which is not in the table", status, reason)
		}
	}
	if texts["refused"].title == "" {
		t.Error("no text for refused")
	}
}

// A policy's own word is kept, so that logs, metrics and answers agree, but
// only if it is a word.
func TestUnknownReason(t *testing.T) {
	tests := []struct {
		name   string
		status int
		reason string
		detail string // the row whose text is used
		want   string
	}{
		{"a word", 403, "outside-office-hours", "refused", "outside-office-hours"},
		{"a word, by status", 503, "store", "unavailable", "store"},
		{"none", 403, "", "refused", "refused"},
		{"address", 403, "ann@acme.example", "refused", "refused"},
		{"number", 403, "user-4711", "refused", "refused"},
		{"capitals", 403, "Policy", "refused", "refused"},
		{"long", 403, strings.Repeat("a", 33), "refused", "refused"},
		{"many parts", 403, "a-b-c-d-e-f", "refused", "refused"},
		{"newline", 404, "policy\n", "not-found", "refused"},
		{"markup", 401, "<b>", "unauthenticated", "refused"},
	}
	for _, tt := range tests {
		got := decode(t, Denial(tt.status, tt.reason, false, ""))
		if got["reason"] != tt.want || got["detail"] != texts[tt.detail].detail {
			t.Errorf("%s: %v, want reason %q and the text of %q", tt.name, got, tt.want, tt.detail)
		}
		if page := content(Refused(tt.status, tt.reason)); !strings.Contains(page, "Reason: "+tt.want+" ") {
			t.Errorf("%s: page without %q:\n%s", tt.name, tt.want, page)
		}
	}
}

func TestProblemIsExact(t *testing.T) {
	tests := []struct {
		name string
		in   Problem
		want string
	}{
		{"full", Problem{401, "session-ended", "T", "D", signIn},
			`{"type":"about:blank","title":"T","status":401,"detail":"D","reason":"session-ended","sign_in":"` + signIn + `"}`},
		{"title by status", Problem{Status: 421, Reason: "misdirected"},
			`{"type":"about:blank","title":"Misdirected Request","status":421,"reason":"misdirected"}`},
		{"zero", Problem{}, `{"type":"about:blank","title":"Service Unavailable","status":503,"reason":"refused"}`},
		{"sign-in path", Problem{Status: 401, Reason: "policy", SignIn: "/x"},
			`{"type":"about:blank","title":"Unauthorized","status":401,"reason":"policy"}`},
		{"hostile", Problem{Status: 403, Reason: "policy", Title: "\"\r\n</script>", Detail: "\x00\xff"},
			`{"type":"about:blank","title":"\"\r\n\u003c/script\u003e","status":403,"detail":"\u0000\ufffd","reason":"policy"}`},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want+"\n", string(tt.in.Answer().Body)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

func TestADenialIsNeverASuccess(t *testing.T) {
	for _, status := range []int{-1, 0, 99, 200, 204, 302, 399, 600} {
		for _, navigation := range []bool{true, false} {
			if got := Denial(status, "policy", navigation, "").Status; got != http.StatusServiceUnavailable {
				t.Errorf("Denial(%d, navigation %v) has status %d", status, navigation, got)
			}
		}
	}
}
