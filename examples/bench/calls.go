package main

import (
	"context"
	"net/http"
	"strings"

	"isogate/extauthz/profile"
)

// call is one kind of call of a service to a product.
type call struct {
	name, what string
	atSidecar  bool // as the service makes it, else as its sidecar hands it on
	target     string
	recorded   int // what comes back of a call whose check passes whatever it brings
	values     func(x *crossing, target string) (values, error)
	status     int // that ours answers; 200 for a pass
}

// values are what differs from check to check, by the letter of the blank in the recorded message. Those of one letter have one length.
type values map[byte]string

const (
	blankToken   = 'T'
	blankProof   = 'P'
	blankCarried = 'C'
)

// product is where calls go, and unexposed a path of it that no endpoint exposes.
const (
	product   = "issues"
	unexposed = "/rest/admin/users?fields=summary"
)

const (
	crossed     = "gateway: a call"
	crossedMany = "gateway: many endpoints"
)

// calls are the kinds that are measured, in the order of the report. The first one is asked at two servers, see measureCrossed.
var calls = []call{
	{
		name: crossed, what: "a call with a token that was believed a moment ago, and a proof of its own; 10 endpoints: passes",
		target: issue, recorded: 200, values: (*crossing).again, status: 200,
	},
	{
		name: "gateway: first call of a token", what: "a call with a token that was not seen before, and its proof: two signatures are verified, passes",
		target: issue, recorded: 200, values: (*crossing).first, status: 200,
	},
	{
		name: "gateway: not exposed", what: "a call of a path that no endpoint exposes: 403, and no signature is looked at",
		target: unexposed, recorded: 403, values: (*crossing).again, status: 403,
	},
	{
		name: "sidecar: a call", what: "a call of a service at its sidecar: what it carries is opened and a proof is made, passes", atSidecar: true,
		target: issue, recorded: 401, values: (*crossing).carrying, status: 200, // recorded without a token, so the gateway behind it refuses
	},
}

// called is the side that a kind of call arrives at.
func (s *stage) called(kind call) side {
	if kind.atSidecar {
		return s.sidecar
	}
	return s.gateway
}

// again is the token that is known, with a fresh proof.
func (x *crossing) again(target string) (values, error) {
	proof, err := x.proof(x.token, target)
	return values{blankToken: x.token, blankProof: proof}, err
}

// first is a token that is not known, with its proof.
func (x *crossing) first(target string) (values, error) {
	token, err := x.another()
	if err != nil {
		return nil, err
	}
	proof, err := x.proof(token, target)
	return values{blankToken: token, blankProof: proof}, err
}

// carrying is what the service was given for the person.
func (x *crossing) carrying(string) (values, error) { return values{blankCarried: x.given}, nil }

// send sends a call with blanks.
func (x *crossing) send(ctx context.Context, to place, kind call) (status int, err error) {
	v, err := kind.values(x, kind.target)
	if err != nil {
		return 0, err
	}
	blank := func(letter byte) string { return strings.Repeat(string(letter), len(v[letter])) }
	client, origin := x.client(string(to.listener)), "https://"+x.cloud.GatewayName(product)
	header := map[string]string{"Authorization": "DPoP " + blank(blankToken), "Dpop": blank(blankProof)}
	if kind.atSidecar {
		client, origin = &http.Client{Transport: &http.Transport{DisableCompression: true}}, "http://"+string(to.listener)
		header = map[string]string{profile.HeaderCloud: x.cloud.ID, profile.HeaderToken: blank(blankCarried), profile.HeaderProduct: product}
	}
	defer client.CloseIdleConnections()
	header["Accept"], header["User-Agent"] = "application/json", ""
	return get(ctx, client, origin+kind.target, header)
}

// callMessages are n questions of a kind.
func (s *stage) callMessages(kind call, n int) (messages [][]byte, err error) {
	messages = make([][]byte, n)
	for i := range messages {
		v, err := kind.values(s.crossing, kind.target)
		if err != nil {
			return nil, err
		}
		messages[i] = s.questions[kind.name].message
		for letter, value := range v {
			messages[i] = filled(messages[i], letter, value)
		}
	}
	return messages, nil
}
