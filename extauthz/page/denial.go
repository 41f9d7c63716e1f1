package page

import (
	"maps"
	"net/http"
	"slices"
)

// text is what a reason word says to a person.
type text struct {
	title  string // of the page; a problem's title is its status phrase
	detail string
	action string // what the link of the page is called; "Sign in" if empty
}

// texts is the one table of denials, for pages and problems alike. Its keys are
// the words that metrics, log lines and tests use.
var texts = map[string]text{
	// Denials of a request.
	"bad-request":     {title: "This request is not valid", detail: "The address or the data that was sent cannot be used. Go back and try again."},
	"cross-origin":    {title: "Stopped to protect you", detail: "Another site asked for this in your name, and nothing was done. If it was you, open the page here and try again."},
	"federation":      {title: "Not open to this account", detail: "This service cannot be used with your organisation’s sign-in. If you need it, ask your administrator.", action: "Use another account"},
	"method":          {title: "Not possible here", detail: "This address cannot be used in this way. Go back and try again."},
	"misdirected":     {title: "Wrong address", detail: "This address is not served here. Check it, or start from the page that you usually open."},
	"not-found":       {title: "Page not found", detail: "There is nothing at this address. Check it, or go back to where you came from."},
	"policy":          {title: "You do not have access", detail: "The rules of your organisation do not allow this. If you need it, ask your administrator."},
	"rate":            {title: "Too many requests", detail: "Please wait a minute. Then try again."},
	"refused":         {title: "This is not allowed", detail: "Your request was not carried out. If you need it, ask your administrator."},
	"session-ended":   {title: "Your session has ended", detail: "What you sent was not carried out. Sign in again, then repeat it.", action: "Sign in again"},
	"too-large":       {title: "Too much was sent", detail: "What was sent is larger than this service accepts, and nothing was done."},
	"caller":          {title: "This service is not allowed", detail: "The service that made this call may not reach this isolated cloud for this person."},
	"cloud":           {title: "No way to this isolated cloud", detail: "The call names an isolated cloud that is not the person’s, or that takes no calls."},
	"not-exposed":     {title: "Not exposed", detail: "The isolated cloud exposes no such endpoint to the service that made this call."},
	"proof":           {title: "Proof of possession refused", detail: "The DPoP proof is missing, is not for this request, token and time, or was used before."},
	"token":           {title: "Access token refused", detail: "The token of the person is missing, has expired, or is not valid here."},
	"unauthenticated": {title: "Please sign in", detail: "You need to be signed in to see this."},
	"unavailable":     {title: "Not available right now", detail: "This service cannot answer at the moment. Please try again shortly."},

	// Sign-ins that did not work.
	"claims-too-large":     {title: "This account cannot be used", detail: "It belongs to too many groups, or carries too much other information. Ask your administrator to reduce it.", action: "Use another account"},
	"email-domain":         {title: "This account cannot be used", detail: "Its e-mail address does not belong to this organisation. Sign in with your work account.", action: "Use another account"},
	"email-not-verified":   {title: "Confirm your e-mail address", detail: "Your organisation’s sign-in service has not confirmed it yet. Confirm it there, then sign in again.", action: "Use another account"},
	"no-email":             {title: "Your account has no e-mail address", detail: "You need one to sign in here. Ask your administrator to add it.", action: "Use another account"},
	"provider-refused":     {title: "You were not signed in", detail: "Your organisation’s sign-in service did not accept the sign-in. Try again, or ask your administrator.", action: "Use another account"},
	"provider-unavailable": {title: "Sign-in is not available right now", detail: "Your organisation’s sign-in service does not answer. Nothing is wrong with your account.", action: "Try again"},
	"start-again":          {title: "Please start again", detail: "The sign-in could not be completed in this browser. The link may be old, another tab may have finished it, or cookies are blocked.", action: "Start again"},

	// Sign-ins outside that did not work.
	"cloud-unavailable": {title: "Sign-in is not available right now", detail: "Your organisation’s cloud does not answer. Nothing is wrong with your account. Please try again shortly.", action: "Try again"},
	"sign-in-cancelled": {title: "You were not signed in", detail: "The sign-in was cancelled, or your organisation does not allow it here. If you need it, ask your administrator.", action: "Start again"},
	"standard-refused":  {title: "Sign in with your organisation", detail: "Your organisation signs its people in itself. Do not type its password anywhere else: use the button below."},

	// Services outside that were not reached.
	"authorization-request": {title: "This sign-in link cannot be used", detail: "It is too old, was used already, or was made for another service. Go back to the service and start again."},
	"domain-not-managed":    {title: "This account cannot be used there", detail: "Your organisation has not verified the domain of your e-mail address for commercial services. If you need this one, ask your administrator."},
}

// generic names the text for a reason that the table does not have.
var generic = map[int]string{
	http.StatusBadRequest:            "bad-request",
	http.StatusUnauthorized:          "unauthenticated",
	http.StatusNotFound:              "not-found",
	http.StatusMethodNotAllowed:      "method",
	http.StatusRequestEntityTooLarge: "too-large",
	http.StatusMisdirectedRequest:    "misdirected",
	http.StatusTooManyRequests:       "rate",
	http.StatusServiceUnavailable:    "unavailable",
}

// Reasons returns the words that have a text of their own, sorted.
func Reasons() []string {
	return slices.Sorted(maps.Keys(texts))
}

// Denial answers a refused request: with a page if it was a navigation, with a
// problem otherwise. A reason without a text of its own gets the general one of
// its status. signIn is where to sign in, or empty; a problem takes only an
// absolute URL, a page a path on its own host too. A status that is no error
// becomes 503.
func Denial(status int, reason string, navigation bool, signIn string) Answer {
	status = denialStatus(status)
	if !navigation {
		return Problem{Status: status, Reason: reason, Detail: textOf(status, reason).detail, SignIn: signIn}.Answer()
	}
	return denialPage(status, reason, signIn)
}

// Refused is the page of a denied navigation that no sign-in would help.
func Refused(status int, reason string) Answer {
	return Denial(status, reason, true, "")
}

func textOf(status int, reason string) text {
	if t, ok := texts[reason]; ok {
		return t
	}
	if t, ok := texts[generic[status]]; ok {
		return t
	}
	return texts["refused"]
}

func denialPage(status int, reason, target string) Answer {
	t := textOf(status, reason)
	v := view{Status: status, Icon: "stop", Title: t.title, Text: t.detail, Word: word(reason)}
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		v.Icon = "clock"
		v.Action = &Choice{Name: "Try again"} // an empty href is this very page
	case status == http.StatusForbidden:
	case status == http.StatusUnauthorized, t.action != "":
		v.Icon = "lock"
	}
	if linkable(target) {
		v.Action = &Choice{Name: t.action, Href: target}
		if t.action == "" {
			v.Action.Name = "Sign in"
		}
	}
	return v.answer()
}
