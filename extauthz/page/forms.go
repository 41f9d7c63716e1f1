package page

import (
	"net/http"
	"strconv"
	"time"
)

// Input is one field of a form. One without a label is hidden.
type Input struct {
	Name, Label, Type, Value, Autocomplete string
}

// Fact is one line of what a page shows about somebody's own state.
type Fact struct{ Name, Value string }

// AskEmail asks for the e-mail address whose domain says where to sign in. The
// form posts email, and carry as it is, to action, a path on the same host.
// alert says what was wrong with the address that was sent before, or nothing;
// that address is shown again.
func AskEmail(action string, carry []Field, email, alert string) Answer {
	if !local(action) {
		return Refused(http.StatusServiceUnavailable, "unavailable")
	}
	v := view{Status: http.StatusOK, Icon: "lock", Title: "Sign in", Text: "Your address tells us where your organisation signs you in.",
		Forms: []form{{Post: action, Buttons: []button{{Label: "Continue"}}, Alert: alert, Inputs: append([]Input{
			{Name: "email", Label: "Work e-mail address", Type: "email", Value: email, Autocomplete: "username"},
		}, hidden(carry)...)}}}
	if alert != "" {
		v.Status = http.StatusUnprocessableEntity
	}
	return v.answer()
}

func hidden(carry []Field) (inputs []Input) {
	for _, f := range carry {
		inputs = append(inputs, Input{Name: f.Name, Value: f.Value})
	}
	return inputs
}

// NoProvider is the alert for an address that no provider signs in.
const NoProvider = "Nobody signs in here with an address like this. Check it, or ask your administrator."

// Own is what a person sees of the own session.
type Own struct {
	Name, Email, Provider string
	SignedIn              time.Time     // at the provider
	Idle                  time.Duration // without a request, until it ends
	Ends                  time.Time     // whatever happens
}

// Session shows a person the own session, with a button that signs out by a
// post to action, a path on the same host. Times are shown in UTC, since a page
// without script does not know the reader's zone.
func Session(o Own, action string) Answer {
	if !local(action) {
		return Refused(http.StatusServiceUnavailable, "unavailable")
	}
	const clock = "2 January 2006, 15:04 UTC"
	v := view{Status: http.StatusOK, Icon: "check", Title: "You are signed in", Plain: true, Text: "This is what is known about your session.",
		Forms: []form{{Post: action, Buttons: []button{{Label: "Sign out"}}}}}
	for _, f := range []Fact{
		{"Name", o.Name}, {"E-mail address", o.Email}, {"Signed in with", o.Provider}, {"Signed in", o.SignedIn.UTC().Format(clock)},
		{"Ends without activity after", span(o.Idle)}, {"Ends at the latest", o.Ends.UTC().Format(clock)},
	} {
		if f.Value != "" {
			v.Facts = append(v.Facts, f)
		}
	}
	return v.answer()
}

// span writes a time span in the largest unit that measures it whole.
func span(d time.Duration) string {
	n, unit := int64(d/time.Second), "second"
	if d%time.Hour == 0 {
		n, unit = int64(d/time.Hour), "hour"
	} else if d%time.Minute == 0 {
		n, unit = int64(d/time.Minute), "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return strconv.FormatInt(n, 10) + " " + unit
}
