package main

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/keys"
	"isogate/extauthz/profile"
	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

// outside is a running extauthz of the commercial side. It has no store: whatever lasts is sealed, in the browsers of the people, and what is
// in memory is lost without harm.
type outside struct {
	process  *daemon.Process
	sealers  *keys.Sealers // of what stands in URLs
	sessions *keys.Sealers // of the sessions themselves
	users    []byte        // key of the ids that services know people by; read once: another one would make strangers of everybody
	answers  *profile.Answers
	signIns  *prometheus.CounterVec

	state atomic.Pointer[outsideState]
}

// outsideState is immutable.
type outsideState struct {
	config      *config
	federated   *profile.Federated
	door        http.Handler
	federations []*signin.Federation
	signers     map[daemon.Path]*keys.Signers // of the clients that we are, by folder
}
