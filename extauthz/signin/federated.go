package signin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"isogate/extauthz/page"
	"isogate/extauthz/session"
)

// outsideState is what travels through an isolated cloud and back, sealed: whatever the way back needs, so that nothing is stored.
type outsideState struct {
	Cloud   string  `json:"i"` // id of the directory's entry
	Begun   attempt `json:"a"`
	Proof   string  `json:"v"` // hash of the identity host's flow cookie
	Expires int64   `json:"e"` // Unix seconds
	Back    *flow   `json:"b"` // where the person wanted to go; nil if nowhere in particular
}

// maxState is how long a state an isolated cloud takes, in bytes.
const maxState = 4 << 10

// start begins a sign-in at an isolated cloud. Its answer leads on by a page, since browsers hold a form's redirects against the form-action
// of its page.
func (d *Identity) start(v visit) (page.Answer, error) {
	form, err := readForm(v)
	if err != nil {
		return page.Refused(http.StatusBadRequest, "bad-request"), nil
	}
	back, _, err := d.wanted(form)
	cloud := d.Clouds.byID[form["cloud"]]
	if err != nil || cloud == nil {
		return page.StartAgain(d.home(v.host)), nil
	}
	begun, err := newAttempt()
	if err != nil {
		return failed(err)
	}
	cookie := session.NewFlowCookie(d.Now())
	state, err := d.sealState(outsideState{
		Cloud: cloud.Entry.ID, Begun: begun, Proof: proof(cookie.Secret), Expires: d.Now().Add(session.FlowLifetime).Unix(), Back: back,
	})
	if err != nil {
		return failed(err)
	}
	address, err := cloud.Begin(v.Context(), begun, state)
	if err != nil {
		return d.unavailable(v, cloud.Entry.ID, back, err), nil
	}
	answer := page.Continue(address)
	for _, old := range v.cookies.Surplus() {
		answer = answer.With("set-cookie", old.Clear())
	}
	return answer.With("set-cookie", cookie.Set()), nil
}

// sealState seals a state. A target that makes it too long is given up for the service's start page.
func (d *Identity) sealState(s outsideState) (sealed string, err error) {
	if sealed, err = d.seal(purposeOutsideState, s); err != nil || len(sealed) <= maxState || s.Back == nil {
		return sealed, err
	}
	home := *s.Back
	home.Target = "/"
	s.Back = &home
	return d.seal(purposeOutsideState, s)
}

// openOutsideState gives back a state that is still in time, and its cloud.
func (d *Identity) openOutsideState(sealed string) (outsideState, *Federation, error) {
	var opened outsideState
	if err := d.unseal(purposeOutsideState, sealed, &opened); err != nil {
		return outsideState{}, nil, err
	}
	cloud := d.Clouds.byID[opened.Cloud]
	if cloud == nil || !d.Now().Before(time.Unix(opened.Expires, 0)) {
		return outsideState{}, nil, errSealed
	}
	return opened, cloud, nil
}

// callback takes an isolated cloud's answer. Checks before effects: the state must be ours, and the browser the one that began; only then is
// the answer looked at, and the code redeemed.
func (d *Identity) callback(v visit) (page.Answer, error) {
	if !IsNavigation(v.Method, v.Header.Get) {
		return page.Denial(http.StatusUnauthorized, "unauthenticated", false, d.SignInURL()), nil
	}
	begun, cloud, err := d.openOutsideState(v.query["state"])
	if err != nil {
		return page.StartAgain(d.home(v.host)), nil
	}
	cookie, ok := proven(v.cookies, begun.Proof)
	if !ok {
		return d.uncalled(v, begun), nil
	}
	var answer page.Answer
	made, err := cloud.Finish(v.Context(), v.query, begun.Begun)
	if err != nil {
		answer, err = d.refuse(v, begun, err), nil
	} else {
		answer, err = d.establish(v, made, begun.Back)
	}
	return answer.With("set-cookie", cookie.Clear()), err
}

// uncalled answers a callback whose flow cookie is gone: a reload, a second tab, blocked cookies, or somebody else's answer in this browser.
// It never signs in; who is signed in goes where they wanted.
func (d *Identity) uncalled(v visit, begun outsideState) page.Answer {
	_, err := d.living(v)
	switch {
	case err != nil:
		return drop(v, page.StartAgain(d.home(v.host)))
	case begun.Back == nil || !d.known(*begun.Back):
		return page.Redirect(http.StatusSeeOther, d.home(v.host))
	}
	return page.Redirect(http.StatusSeeOther, d.url(*begun.Back))
}

// refuse answers for a cloud's answer that does not let a person in.
func (d *Identity) refuse(v visit, begun outsideState, err error) page.Answer {
	if _, refused := errors.AsType[Refusal](err); refused {
		d.SignIns.WithLabelValues(resultCancelled).Inc()
		return page.SignInCancelled(d.again(v, begun.Back))
	}
	if errors.Is(err, errAnswer) {
		d.SignIns.WithLabelValues(resultStartAgain).Inc()
		return page.StartAgain(d.again(v, begun.Back))
	}
	return d.unavailable(v, begun.Cloud, begun.Back, err)
}

// unavailable answers for a cloud that cannot be used. Any stranger can press the button, so it is not logged each time.
func (d *Identity) unavailable(v visit, cloud string, back *flow, err error) page.Answer {
	d.SignIns.WithLabelValues(resultUnavailable).Inc()
	d.Faults.Warn(v.Context(), cloud, "an isolated cloud cannot sign people in", err)
	return page.CloudUnavailable(d.again(v, back))
}

// again is where a person whose sign-in failed begins anew: at the place they wanted, which sends them here with a new flow.
func (d *Identity) again(v visit, back *flow) string {
	if back == nil || !d.known(*back) {
		return d.home(v.host)
	}
	return linkSafe.Replace(d.url(*back))
}

// establish makes a session the one of this browser, and leads on. Tabs that signed the same person in stay in the session of the first, so
// that a sign-out in one of them ends what all of them show; another person's session is over.
func (d *Identity) establish(v visit, made session.Outside, back *flow) (page.Answer, error) {
	answer, err := d.takeOver(v, made, back)
	if err != nil {
		d.SignIns.WithLabelValues(resultUnavailable).Inc()
		d.revoke(v, made)
		return answer, err
	}
	d.SignIns.WithLabelValues(resultOK).Inc()
	d.Log.InfoContext(v.Context(), "signed in", "cloud", made.Cloud)
	return answer, nil
}

func (d *Identity) takeOver(v visit, made session.Outside, back *flow) (page.Answer, error) {
	old, absent := d.living(v)
	if absent == nil && old.Cloud == made.Cloud && old.Subject == made.Subject && old.Grant != made.Grant {
		answer, err := d.handOver(v, old, back)
		if err == nil {
			d.revoke(v, made)
		}
		return answer, err
	}
	answer, err := d.handOver(v, made, back)
	if err == nil && absent == nil && old.Grant != made.Grant {
		d.revoke(v, old)
	}
	return answer, err
}

// revokeTimeout is how long a person waits for a cloud to hear of a sign-out.
const revokeTimeout = 2 * time.Second

// revoke ends a grant, and tells whether its cloud heard of it. What it did not hear of lives on there, without anybody here who holds it; and
// other replicas of this door learn nothing of it, since they ask the cloud.
func (d *Identity) revoke(v visit, o session.Outside) (heard bool) {
	d.Grants.End(o) // first: from then on no check believes in it, whether its cloud answers or not
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.Context()), revokeTimeout)
	defer cancel()
	if err := d.Clouds.Revoke(ctx, o); err != nil {
		d.Faults.Warn(v.Context(), o.Cloud, "an isolated cloud did not hear that a grant is over", err)
		return false
	}
	return true
}
