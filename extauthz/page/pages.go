package page

import "net/http"

// Choice is one link: the name that is shown and where it leads, a path on the
// same host or an absolute URL.
type Choice struct {
	Name, Href string
}

// StartAgain says, with 400, that a sign-in could not be completed in this
// browser. home is the start page of the host.
func StartAgain(home string) Answer {
	return denialPage(http.StatusBadRequest, "start-again", home)
}

// ProviderUnavailable says, with 503, that the organisation's identity provider
// does not answer. retry begins the sign-in anew.
func ProviderUnavailable(retry string) Answer {
	return denialPage(http.StatusServiceUnavailable, "provider-unavailable", retry)
}

// NotAllowed says, with 403, that the provider's answer was valid but the
// account may not come in, and why by the reason's text. another begins a
// sign-in in which the provider asks who it is, although it knows this account.
func NotAllowed(reason, another string) Answer {
	return denialPage(http.StatusForbidden, reason, another)
}

// SignOut asks before signing out: its one button posts to action, a path on
// the same host. A GET must not sign anybody out, since any site can cause one.
// host is shown; one that is not a host name is left out. back leads away
// without signing out.
func SignOut(action, host, back string) Answer {
	if !local(action) {
		return Refused(http.StatusServiceUnavailable, "unavailable")
	}
	v := view{Status: http.StatusOK, Icon: "lock", Title: "Sign out?", Plain: true, Forms: []form{{Post: action, Buttons: []button{{Label: "Sign out"}}}},
		Text: "You will be signed out here and in all other products of your organisation."}
	if hostName(host) {
		v.Note = host
	}
	if linkable(back) {
		v.Back = &Choice{"Stay signed in", back}
	}
	return v.answer()
}

// SignedOut confirms that the session has ended everywhere. home leads to a new
// sign-in.
func SignedOut(home string) Answer {
	v := view{Status: http.StatusOK, Icon: "check", Title: "You are signed out",
		Text: "You are signed out here and in all other products. On a shared computer, close the browser too."}
	if linkable(home) {
		v.Action = &Choice{"Sign in again", home}
	}
	return v.answer()
}

// Continue leads to another host by itself, and by a link where the browser
// does not. It stands where a form's answer would be a redirect, because
// browsers apply the form-action of the form's page to the whole redirect
// chain. A target that is not an absolute http or https URL is refused.
func Continue(target string) Answer {
	u, ok := parse(target)
	if !ok || !absolute(target) {
		return Refused(http.StatusBadRequest, "bad-request")
	}
	return view{Status: http.StatusOK, Icon: "arrow", Title: "One moment", Note: u.Host, Refresh: target,
		Text:   "You are being taken to this site. If nothing happens, select Continue.",
		Action: &Choice{"Continue", target}}.answer()
}

// Choose lets a person pick an identity provider. A provider without a name or
// with a target that is not a link is left out; if none is left, the page says
// that sign-in is unavailable.
func Choose(providers []Choice) Answer {
	v := view{Status: http.StatusOK, Icon: "lock", Title: "Choose how to sign in", Text: "Select the account that you use at work."}
	for _, p := range providers {
		if p.Name != "" && linkable(p.Href) {
			v.Choices = append(v.Choices, p)
		}
	}
	if len(v.Choices) == 0 {
		return Refused(http.StatusServiceUnavailable, "unavailable")
	}
	return v.answer()
}
