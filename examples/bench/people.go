package main

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"isogate/examples/world"
	"isogate/extauthz/session"
)

// livingSessions is how many sessions take turns in the figure of the living session.
const livingSessions = 64

// outsideSessions is the same for those outside, of which nothing is remembered.
const outsideSessions = 8

// signIn signs people in at the issue tracker, through the identity provider, and hands each of them over to the wiki without ever asking the
// wiki for anything: the first check there makes its token.
func (s *stage) signIn(ctx context.Context, p plan) error {
	wanted := max((p.rounds+1)*p.firsts, livingSessions/4)
	handles := make(chan [2]string, wanted)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for range wanted {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			pair, err := s.oneSession()
			handles <- pair
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	close(handles)
	for pair := range handles {
		s.sessions, s.fresh = append(s.sessions, pair[0]), append(s.fresh, pair[1])
	}
	s.sessions = s.sessions[:min(len(s.sessions), livingSessions)]
	return nil
}

// oneSession gives the handles of one session at the issue tracker and at the wiki.
func (s *stage) oneSession() (handles [2]string, err error) {
	browser := s.world.Browser()
	a, err := browser.SignIn(s.world.User("bob"), s.world.URL("issues", "/"))
	if err != nil {
		return handles, err
	}
	if a.Status != 200 {
		return handles, fmt.Errorf("signing in ends in status %d at %s", a.Status, a.URL.Path)
	}
	if err := handOver(browser, s.world.URL("wiki", "/page/start")); err != nil {
		return handles, err
	}
	for i, product := range []string{"issues", "wiki"} {
		if handles[i] = browser.Cookies(s.world.URL(product, "/"))[session.SessionCookie]; handles[i] == "" {
			return handles, fmt.Errorf("no session cookie at %s", product)
		}
	}
	return handles, nil
}

// handOver follows redirects from a host where nobody is signed in, and stops at the one that sets the session cookie there.
func handOver(browser *world.Browser, address string) error {
	at := address
	for range 6 {
		a, err := browser.Step(at)
		if err != nil {
			return err
		}
		if browser.Cookies(address)[session.SessionCookie] != "" {
			return nil
		}
		next, err := a.URL.Parse(a.Header.Get("Location"))
		if err != nil || a.Header.Get("Location") == "" {
			return fmt.Errorf("handing over: status %d at %s leads nowhere", a.Status, a.URL.Path)
		}
		at = next.String()
	}
	return fmt.Errorf("handing over to %s never ends", address)
}

// signInOutside signs people in at the Support Centre, through their isolated cloud.
func (s *stage) signInOutside(context.Context) error {
	s.outsiders = make([]string, outsideSessions)
	var group errgroup.Group
	group.SetLimit(4)
	for i := range s.outsiders {
		group.Go(func() (err error) {
			browser := s.world.Browser()
			if s.outsiders[i], err = s.oneOutside(browser); i == 0 {
				s.person = browser
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, sealed := range s.outsiders {
		if len(sealed) != len(s.outsiders[0]) {
			return fmt.Errorf("the sealed sessions have %d and %d bytes: they cannot stand in one recorded message", len(sealed), len(s.outsiders[0]))
		}
	}
	return nil
}

// oneOutside gives one sealed session.
func (s *stage) oneOutside(browser *world.Browser) (sealed string, err error) {
	bob, address := s.world.User("bob"), s.world.Platform.URL(caller, "/")
	page, err := browser.Open(address)
	for _, next := range []func() (world.Answer, error){
		func() (world.Answer, error) {
			return browser.Press(page, "Continue", map[string]string{"email": bob.Email})
		},
		func() (world.Answer, error) { return browser.Press(page, "Continue with Acme", nil) },
		func() (world.Answer, error) { return browser.Authenticate(bob, page) },
		func() (world.Answer, error) { return browser.Press(page, "Continue", nil) },
	} {
		if err != nil {
			return "", err
		}
		page, err = next()
	}
	sealed = browser.Cookies(address)[session.OutsideCookie]
	if err == nil && (page.Status != 200 || sealed == "") {
		err = fmt.Errorf("signing in outside ends in status %d at %s", page.Status, page.URL.Path)
	}
	return sealed, err
}
