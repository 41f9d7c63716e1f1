package page

import "net/http"

// What a person decides about a service outside: the form field of the two pages
// below, and its values.
const (
	Decision       = "decision"
	DecisionGo     = "continue"
	DecisionCancel = "cancel"
)

// Confirm asks whether client, a service outside, may recognise the person. The
// form posts the decision, and carry as it is, to action, a path on the same
// host. What that answers should lead on by [Continue]: a redirect to another
// host would fail the form-action of this page.
func Confirm(action, client string, carry []Field) Answer {
	if !local(action) || client == "" {
		return Refused(http.StatusServiceUnavailable, "unavailable")
	}
	return view{Status: http.StatusOK, Icon: "arrow", Title: "Continue to " + client + "?", Plain: true,
		Text: "This service learns that you are a member of this organisation’s cloud, and knows you by an identifier that means nothing elsewhere. " +
			"It does not learn your name or your e-mail address.",
		Forms: []form{{Post: action, Inputs: hidden(carry), Buttons: []button{
			{Label: "Continue", Name: Decision, Value: DecisionGo},
			{Label: "Cancel", Name: Decision, Value: DecisionCancel, Secondary: true},
		}}}}.answer()
}

// NotManaged says, with 403, that the person's e-mail domain is none with which
// the organisation uses services outside, such as client. Its one button posts a
// cancellation, so that the service learns that nobody comes. The rest is as with
// [Confirm].
func NotManaged(action, client string, carry []Field) Answer {
	if !local(action) || client == "" {
		return Refused(http.StatusServiceUnavailable, "unavailable")
	}
	const reason = "domain-not-managed"
	return view{Status: http.StatusForbidden, Icon: "stop", Title: texts[reason].title, Note: client, Text: texts[reason].detail, Word: reason, Plain: true,
		Forms: []form{{Post: action, Inputs: hidden(carry), Buttons: []button{{Label: "Go back", Name: Decision, Value: DecisionCancel}}}}}.answer()
}
