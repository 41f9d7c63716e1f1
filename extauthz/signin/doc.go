// Package signin is the HTTP door of each side. On the isolated one, [Door] sends a person to the organisation's own identity provider, judges the
// provider's answer, and hands the session over from the auth host to the host that was first asked for. The OAuth server, on the auth host
// itself, sends people in too, with wishes for the provider (prompt, max_age, acr_values, login_hint), and gets them back.
//
// Two rules hold everywhere in it. Checks come before effects: nothing is written to a store before the provider's answer was verified, and
// whatever works once is taken before it is looked at. And every leg of the way is bound to the browser that began it, by a flow cookie
// whose hash is sealed into what travels through the URL (CVE-2022-39222 is what happens otherwise). The one way in that is not sealed, the
// OAuth server's, leads to one fixed path and says nothing about who anybody is.
//
// Outside the isolated clouds there is another door, [Identity], whose host finds out from the domain of an address which cloud signs a person
// in, and a [Federation] for each cloud, which is a client of that cloud's OAuth server. That side has no store: what has to be remembered is
// sealed and travels with the browser, and of an address nothing is remembered at all. A ticket there may open twice within its 30 seconds, but
// only at its host and for the browser that holds the flow cookie.
//
// It does not decide who may reach what, nor whether a sign-in is fresh and strong enough for a client, and it mints no token.
package signin
