package privacy

import (
	"testing"
	"time"

	"isogate/examples/world"
)

// keep remembers what the commercial side holds now: a restart makes counters begin anew, and a later dump may show less.
func (s *stage) keep(t *testing.T) {
	t.Helper()
	kept, err := s.Kept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.kept = append(s.kept, kept)
}

// walkCloudAway stops each part of the isolated cloud while somebody is signed in, somebody wants to sign in, and somebody signs out.
func (s *stage) walkCloudAway(t *testing.T) {
	stays := s.member(t, s.people[0])
	for _, part := range []string{"oidcprovider", "extauthz", "envoy-ingress"} {
		leaves, page := s.member(t, s.people[1]), s.lookup(t, s.Browser(), s.people[1].Email)
		if err := s.Parts[part].Stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(checkEvery)
		want(t, "who is signed in without "+part, must(t)(stays.Do("GET", s.at("support", "/whoami"), world.Fetch, nil, "")), 200)
		want(t, "who signs in without "+part, must(t)(s.Browser().Press(page, toAcme, nil)), 503)
		want(t, "who signs out without "+part, must(t)(leaves.Press(must(t)(leaves.Open(s.at("support", "/.isogate/logout"))), "Sign out", nil)), 200)
		if err := s.Parts[part].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.works(t)
	}
}

// walkOutsideAway takes a service, the control plane and the check of the commercial side away.
func (s *stage) walkOutsideAway(t *testing.T) {
	b, upstream := s.member(t, s.people[0]), "upstream: "+s.services["support"].Address()
	s.edit(t, upstream, "upstream: 127.0.0.1:1")
	eventually(t, "the service is away", func() bool {
		return s.status(b, s.at("support", "/whoami?email="+s.stray.at("query"))) == 503
	})
	_, _ = b.Step(s.at("support", "/of/"+s.stray.at("path")))
	s.edit(t, "upstream: 127.0.0.1:1", upstream)
	eventually(t, "the service is back", func() bool { return s.status(b, s.at("support", "/whoami")) == 200 })

	s.edit(t, "federation: allowed", "federation: none") // the first service's
	eventually(t, "the service is closed to federation", func() bool { return s.status(b, s.at("support", "/whoami?email="+s.stray.at("query"))) == 403 })
	want(t, "a page of a closed service", must(t)(b.Step(s.at("support", "/of/"+s.stray.at("path")))), 403)
	s.edit(t, "federation: none", "federation: allowed")
	eventually(t, "the service is open again", func() bool { return s.status(b, s.at("support", "/whoami")) == 200 })

	s.keep(t)
	s.away(t, "xds-commercial", func() {
		want(t, "without a control plane", must(t)(b.Do("GET", s.at("support", "/whoami"), world.Fetch, nil, "")), 200)
		_ = s.lookup(t, s.Browser(), s.people[1].Email)
	})
	page := must(t)(s.Browser().Open(s.at("support", "/")))
	s.away(t, "extauthz-commercial", func() {
		for _, name := range []string{"support", "tenant", "id"} {
			for _, target := range []string{"/?email=" + s.stray.at("query"), "/.isogate/signin?email=" + s.stray.at("signin")} {
				want(t, "without a check", must(t)(b.Do("GET", s.at(name, target), world.Navigation, map[string]string{"User-Agent": s.stray.at("agent")}, "")), 503)
			}
		}
		want(t, "the form without a check", must(t)(s.Browser().Press(page, goOn, map[string]string{"email": s.people[0].Email})), 503)
	})
	want(t, "afterwards", must(t)(b.Do("GET", s.at("support", "/whoami"), world.Fetch, nil, "")), 200)
}

// away stops a daemon of the commercial side for a time.
func (s *stage) away(t *testing.T, part string, while func()) {
	t.Helper()
	if err := s.Parts[part].Stop(); err != nil {
		t.Fatal(err)
	}
	while()
	s.again(t, part)
	s.works(t)
}

// walkEnds ends sessions from inside: by a limit, and by a sign-out.
func (s *stage) walkEnds(t *testing.T) {
	const usual, short = "federated: 24h", "federated: 1s"
	b := s.member(t, s.people[0])
	if err := s.EditFile(usual, short); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the limit ends the session", func() bool { return s.status(b, s.at("support", "/whoami")) == 401 })
	if err := s.EditFile(short, usual); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the limit is back", func() bool {
		fresh := s.member(t, s.people[1])
		time.Sleep(1100 * time.Millisecond)
		return s.status(fresh, s.at("support", "/whoami")) == 200
	})
	b = s.member(t, s.people[1])
	must(t)(b.Open(s.URL("issues", "/")))
	must(t)(b.Press(must(t)(b.Open(s.URL("issues", "/.isogate/logout"))), "Sign out", nil))
	eventually(t, "the sign-out inside ends the session", func() bool { return s.status(b, s.at("support", "/whoami")) == 401 })
	_ = must(t)(b.Open(s.at("support", "/")))
}
