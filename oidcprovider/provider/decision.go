package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"isogate/extauthz/page"
	"isogate/oidcprovider/code"
)

// maxDecision bounds the body of a decision, in bytes.
const maxDecision = 16 << 10

// pending is a visit that waits for a person to press a button, sealed into the page.
type pending struct {
	URI      string `json:"request_uri"`
	Client   string `json:"client"`
	Session  string `json:"sid"`                // of the person who was asked
	Returned int64  `json:"returned,omitempty"` // Unix seconds: the visit's
	Shown    int64  `json:"shown"`              // Unix seconds; the page is good for as long as a pushed request
}

// confirm asks the person, once for each client and session.
func (p *Provider) confirm(v visit) (page.Answer, error) {
	carry, err := p.carry(v)
	if err != nil {
		return page.Answer{}, err
	}
	return page.Confirm(PathDecision, v.client.Name, carry), nil
}

// notManaged says that the person's e-mail domain is none that the organisation may take to commercial services. The client learns of it when
// the person goes back.
func (p *Provider) notManaged(v visit) (page.Answer, error) {
	carry, err := p.carry(v)
	if err != nil {
		return page.Answer{}, err
	}
	return page.NotManaged(PathDecision, v.client.Name, carry), told(accessDenied)
}

// carry seals the visit into a field of a form.
func (p *Provider) carry(v visit) ([]page.Field, error) {
	asked := pending{URI: v.uri, Client: v.client.ID, Session: v.person.Session, Shown: p.Now().Unix()}
	if !v.returned.IsZero() {
		asked.Returned = v.returned.Unix()
	}
	raw, err := json.Marshal(asked)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	return []page.Field{{Name: "request", Value: p.Seal.Seal(purposeDecision, p.Issuer, raw)}}, nil
}

// openPending gives back what carry sealed, in time.
func (p *Provider) openPending(sealed string) (pending, error) {
	var sent pending
	raw, err := p.Seal.Open(purposeDecision, p.Issuer, sealed)
	if err == nil {
		err = json.Unmarshal(raw, &sent)
	}
	if err != nil || p.Now().Sub(time.Unix(sent.Shown, 0)) >= code.RequestLifetime {
		return pending{}, wrong(invalidRequest, "the form is not one of ours, or too old")
	}
	return sent, nil
}

// decide is the answer to a button of the two pages. The ingress has made sure that a page of this very host sent the form. Everything is
// looked at again, with what is true of the person now: a page may stand open for a while.
func (p *Provider) decide(r *http.Request) (page.Answer, error) {
	v, decision, err := p.decided(r)
	if err != nil {
		return page.Answer{}, err
	}
	if decision == page.DecisionCancel {
		return p.tell(r.Context(), v, accessDenied)
	}
	if v.person == nil || decision == "" {
		return p.again(v), nil
	}
	switch lack := v.lack(p.Now()); lack {
	case "":
	case accessDenied:
		return p.notManaged(v)
	default: // the person was sent to sign in already, or was good enough when the page was shown: no loop
		return p.tell(r.Context(), v, lack)
	}
	if err := p.Codes.Confirm(r.Context(), v.person.Session, v.client.ID); err != nil {
		return page.Answer{}, err
	}
	return p.finish(r.Context(), v)
}

// decided reads the form. Only the session that was shown the page decides by it: a page that stands open since another sign-in, perhaps
// somebody else's, decides nothing ("") and is shown anew. Who has signed out since may still cancel.
func (p *Provider) decided(r *http.Request) (v visit, decision string, err error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxDecision)
	sent, err := parseForm(r)
	if err != nil {
		return visit{}, "", err
	}
	if decision = sent[page.Decision]; decision != page.DecisionGo && decision != page.DecisionCancel {
		return visit{}, "", wrong(invalidRequest, "the decision must be continue or cancel")
	}
	asked, err := p.openPending(sent["request"])
	if err != nil {
		return visit{}, "", err
	}
	if v, err = p.arrive(r, asked.Client, asked.URI); err != nil {
		return visit{}, "", err
	}
	if v.person != nil && v.person.Session != asked.Session {
		decision = ""
	}
	v.form, v.shown = true, time.Unix(asked.Shown, 0)
	if asked.Returned != 0 {
		v.returned = time.Unix(asked.Returned, 0)
	}
	return v, decision, nil
}
