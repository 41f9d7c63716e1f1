package page

import (
	"net/http"
	"time"
)

// Form is where a form of a page posts to, a path on the same host, and what it
// hands on as it is.
type Form struct {
	Action string
	Carry  []Field
}

// AskAddress asks for an e-mail address outside the isolated clouds: its domain
// alone says how to sign in. What was typed is never shown again; alert says what
// was wrong with it, or nothing.
func AskAddress(to Form, alert string) Answer {
	if !local(to.Action) {
		return Refused(http.StatusServiceUnavailable, "unavailable")
	}
	v := view{Status: http.StatusOK, Icon: "lock", Title: "Sign in",
		Text: "The part after the @ tells us which ways to sign in you have. The address itself is not kept.",
		Forms: []form{{Post: to.Action, Buttons: []button{{Label: "Continue"}}, Alert: alert, Inputs: append([]Input{
			{Name: "email", Label: "E-mail address", Type: "email", Autocomplete: "email"},
		}, hidden(to.Carry)...)}}}
	if alert != "" {
		v.Status = http.StatusUnprocessableEntity
	}
	return v.answer()
}

// Alerts of AskAddress.
const (
	NotAnAddress = "That is not an e-mail address. Check it, and type it as name@example.com."
	NoWay        = "Nobody signs in here with an address like that. Check it, or ask your administrator."
)

// Standard is the form field by which a standard option is chosen: its value is
// the option's name.
const Standard = "standard"

// Ways offers the ways to sign in: the isolated cloud of an organisation, if it
// is named, by a button that posts start; and the standard options by their
// names, which post standard. again is where another address can be typed, a path
// on the same host.
func Ways(organisation string, start Form, options []string, standard Form, again string) Answer {
	v := view{Status: http.StatusOK, Icon: "lock", Title: "Choose how to sign in", Text: "These are the ways to sign in with your address.", Back: another(again)}
	if organisation != "" {
		v.Forms = append(v.Forms, start.organisation(organisation))
	}
	if len(options) > 0 {
		others := form{Post: standard.Action, Inputs: hidden(standard.Carry)}
		if organisation != "" {
			others.Lead = "Other ways to sign in"
		}
		for _, name := range options {
			others.Buttons = append(others.Buttons, button{Label: name, Name: Standard, Value: name, Secondary: true})
		}
		v.Forms = append(v.Forms, others)
	}
	return v.posted()
}

// StandardRefused says, with 403, that people of an organisation do not sign in
// by a standard option. Its button posts start.
func StandardRefused(organisation string, start Form, again string) Answer {
	const reason = "standard-refused"
	return view{Status: http.StatusForbidden, Icon: "stop", Title: texts[reason].title, Text: texts[reason].detail, Word: reason, Back: another(again),
		Forms: []form{start.organisation(organisation)}}.posted()
}

// another leads to where another address can be typed, if that is a link.
func another(again string) *Choice {
	if !linkable(again) {
		return nil
	}
	return &Choice{"Use another address", again}
}

// organisation is the button of an isolated cloud.
func (f Form) organisation(name string) form {
	return form{Post: f.Action, Inputs: hidden(f.Carry), Buttons: []button{{Label: "Continue with " + name}}}
}

// posted is the page, if it has forms and each posts to a path on its own host.
func (v view) posted() Answer {
	for _, f := range v.Forms {
		if !local(f.Post) {
			v.Forms = nil
		}
	}
	if len(v.Forms) == 0 {
		return Refused(http.StatusServiceUnavailable, "unavailable")
	}
	return v.answer()
}

// SignInCancelled says, with 403, that an isolated cloud sent somebody back who
// did not go on, or may not. again begins anew.
func SignInCancelled(again string) Answer {
	return denialPage(http.StatusForbidden, "sign-in-cancelled", again)
}

// CloudUnavailable says, with 503, that an isolated cloud does not answer. retry
// begins the sign-in anew.
func CloudUnavailable(retry string) Answer {
	return denialPage(http.StatusServiceUnavailable, "cloud-unavailable", retry)
}

// NotFederated says, with 403, that a service is not open to people of isolated
// clouds. signOut is where they can give up that sign-in for another.
func NotFederated(signOut string) Answer {
	return denialPage(http.StatusForbidden, "federation", signOut)
}

// OutsideSignOut asks before signing out outside. It differs from [SignOut] in
// what it says: within is how long other services may take to notice.
func OutsideSignOut(action, host, back string, within time.Duration) Answer {
	v := view{Status: http.StatusOK, Icon: "lock", Title: "Sign out?", Plain: true, Forms: []form{{Post: action, Buttons: []button{{Label: "Sign out"}}}},
		Text: "You will be signed out here. " + elsewhere(within)}
	if hostName(host) {
		v.Note = host
	}
	if linkable(back) {
		v.Back = &Choice{"Stay signed in", back}
	}
	return v.posted()
}

// OutsideSignedOut confirms the sign-out. home leads to a new sign-in.
func OutsideSignedOut(home string, within time.Duration) Answer {
	return signedOutHere(home, elsewhere(within))
}

// OutsideSignedOutUnheard confirms it where the isolated cloud could not be told.
func OutsideSignedOutUnheard(home string) Answer {
	return signedOutHere(home, "Your organisation’s cloud could not be told, so other services may keep you signed in for up to 24 hours: sign out there too.")
}

func signedOutHere(home, elsewhere string) Answer {
	v := view{Status: http.StatusOK, Icon: "check", Title: "You are signed out",
		Text: "You are signed out here. " + elsewhere + " On a shared computer, close the browser too."}
	if linkable(home) {
		v.Action = &Choice{"Sign in again", home}
	}
	return v.answer()
}

// elsewhere is what a sign-out outside does not end at once, and what it does
// not end at all.
func elsewhere(within time.Duration) string {
	return "Other services outside your organisation’s cloud follow within " + span(within) +
		". Inside your organisation’s cloud you stay signed in until you sign out there."
}
