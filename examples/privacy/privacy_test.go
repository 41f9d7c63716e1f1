package privacy

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"isogate/extauthz/check"
)

// The commercial side learns nothing of people but what sealed tokens and derived ids say. What it may see: the address that a person types into the
// identity host's form, in the body of that one request on its way to the door.
func TestNothingPersonalOutside(t *testing.T) {
	s := setUp(t)
	var knowns []known
	for _, step := range []struct {
		name string
		walk func(*testing.T)
	}{
		{"federation", func(t *testing.T) { knowns = s.walkFederation(t) }},
		{"forms", s.walkForms},
		{"refusals", s.walkRefusals},
		{"answers", s.walkAnswers},
		{"tickets", s.walkTickets},
		{"cookies", s.walkCookies},
		{"odd places", s.walkOddPlaces},
		{"the cloud is away", s.walkCloudAway},
		{"parts outside are away", s.walkOutsideAway},
		{"calls", s.walkCalls},
		{"ends", s.walkEnds},
	} {
		if !t.Run(step.name, step.walk) {
			return // a walk that did not go its way proves nothing
		}
	}
	var personal []Canary
	for _, p := range s.people {
		personal = append(personal, p.canaries()...)
	}
	for i, k := range knowns {
		for _, c := range k.canaries() {
			personal = append(personal, Canary{fmt.Sprintf("%s, sign-in %d", c.What, i), c.Text})
		}
	}
	channels, forms := s.channels(t)
	t.Run("channels", func(t *testing.T) { s.demandContent(t, channels) })
	t.Run("paths", func(t *testing.T) { demandPaths(t, channels) })
	t.Run("addresses", func(t *testing.T) { s.demandForms(t, finder(t, personal), forms) })
	t.Run("search", func(t *testing.T) { s.search(t, channels, personal) })
	t.Run("control", func(t *testing.T) { s.control(t, channels, personal) })
	t.Run("ids", func(t *testing.T) { s.demandPairwise(t, knowns, channels) })
}

func finder(t *testing.T, canaries []Canary) *Finder {
	t.Helper()
	f, err := NewFinder(canaries)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// demandContent makes sure that each channel is what it says, and that no content is packed in a way that the search cannot undo.
func (s *stage) demandContent(t *testing.T, channels []channel) {
	total := 0
	for _, c := range channels {
		total += c.size()
		if c.size() == 0 || !c.contains(c.holds) {
			t.Errorf("%s: %d bytes, without %q", c.name, c.size(), c.holds)
		}
		for _, piece := range c.pieces {
			if at := bytes.Index(fold(piece), []byte("content-encoding: ")); at >= 0 && !bytes.HasPrefix(piece[at+18:], []byte("gzip")) {
				t.Errorf("%s holds what the search may not be able to read: %.40q", c.name, piece[at:])
			}
		}
	}
	if n := s.Platform.Services["tenant"].Hits(); n != 0 {
		t.Errorf("%d requests reached the standard tenant", n)
	}
	t.Logf("%d channels, %d KB", len(channels), total>>10)
}

// demandPaths makes sure that the walk met every answer and every reason that this side has.
func demandPaths(t *testing.T, channels []channel) {
	for _, c := range channels {
		var missed []string
		switch c.name {
		case "answers of the commercial listener":
			for _, status := range []int{200, 302, 303, 400, 401, 403, 404, 405, 421, 422, 426, 431, 503} {
				missed = append(missed, fmt.Sprintf("HTTP/1.1 %d ", status))
			}
		case "extauthz-commercial/metrics":
			for _, reason := range []check.Reason{
				check.Session, check.Own, check.BadRequest, check.SignIn, check.Unauthenticated, check.SessionEnded, check.CrossOrigin, check.Federation, check.NotFound,
				check.Method, check.Misdirected,
			} {
				missed = append(missed, fmt.Sprintf("{profile=\"federated\",reason=%q}", reason))
			}
		case "extauthz-egress-support/metrics":
			for _, reason := range []check.Reason{check.Sent, check.BadRequest, check.Token, check.Cloud} {
				missed = append(missed, fmt.Sprintf("{profile=\"egress\",reason=%q}", reason))
			}
		case "received by support", "from support":
			missed = []string{"Backups of the wiki take longer than a night"} // what an exposed endpoint said
		}
		if missed = slices.DeleteFunc(missed, c.contains); len(missed) > 0 {
			t.Errorf("%s: without %q", c.name, missed)
		}
	}
}

// demandForms makes sure that what was cut out is what it was cut out for: without it the search would see what a relay recorded.
func (s *stage) demandForms(t *testing.T, f *Finder, forms map[string][][]byte) {
	for _, name := range []string{"listener", "door"} {
		found := map[string]bool{}
		for _, body := range forms[name] {
			for _, h := range f.Find(body) {
				found[h.Canary] = true
			}
		}
		for _, p := range s.people {
			if !found["address of "+p.Username] {
				t.Errorf("%s: the address of %s is in no form", name, p.Username)
			}
			for _, never := range []string{"password of ", "subject of ", "group of "} {
				if found[never+p.Username] {
					t.Errorf("%s: a form holds the %s%s", name, never, p.Username)
				}
			}
		}
	}
}

// search looks for everybody everywhere, and for strays where nothing is passing.
func (s *stage) search(t *testing.T, channels []channel, personal []Canary) {
	f := finder(t, append(slices.Clone(personal), s.stray.canaries()...))
	var passed sync.Map // names of channels that brought strays
	each(channels, func(_ int, c channel) {
		for _, piece := range c.pieces {
			for _, h := range f.Find(piece) {
				switch {
				case c.passing && strings.HasPrefix(h.Canary, strayIn):
					passed.Store(c.name, true)
				case h.Canary != c.allowed:
					t.Errorf("%s holds the %s (%s): %.200q", c.name, h.Canary, h.How, h.In[max(0, h.At-80):min(len(h.In), h.At+80)])
				}
			}
		}
	})
	for _, name := range []string{"requests at the commercial listener", "to check-federated.sock", "to door.sock", "to check-egress-support.sock", "to support", "received by support", "sealed: flow"} {
		if _, ok := passed.Load(name); !ok {
			t.Errorf("%s: nothing that people typed is in it", name)
		}
	}
}

func each(channels []channel, do func(i int, c channel)) {
	var all sync.WaitGroup
	for i, c := range channels {
		all.Go(func() { do(i, c) })
	}
	all.Wait()
}

// control plants a canary in a copy of each channel, each time in another writing, and demands that the search finds it.
func (s *stage) control(t *testing.T, channels []channel, personal []Canary) {
	f := finder(t, personal)
	if all := len(encodings(t, "any text")); len(channels) < all {
		t.Errorf("%d of %d writings are planted", len(channels), all)
	}
	each(channels, func(i int, c channel) {
		canary := personal[i%len(personal)]
		written := encodings(t, canary.Text)
		names := slices.Sorted(maps.Keys(written))
		name := names[i%len(names)]
		longest := slices.MaxFunc(c.pieces, func(a, b []byte) int { return len(a) - len(b) })
		half := len(longest) / 2
		copied := slices.Concat(longest[:half], []byte(written[name]), longest[half:])
		if !slices.ContainsFunc(f.Find(copied), func(h Hit) bool { return h.Canary == canary.What }) {
			t.Errorf("%s: the %s, as %s, is not found", c.name, canary.What, name)
		}
	})
}

// demandPairwise compares the ids by which each side, and each service, knows the same people.
func (s *stage) demandPairwise(t *testing.T, knowns []known, channels []channel) {
	var sources []Canary
	for _, c := range channels {
		if c.name == "answers of the commercial listener" {
			for subject := range s.opener(t).subjects(t, c.pieces) {
				sources = append(sources, Canary{"sub outside", subject})
			}
		}
	}
	if len(sources) < 2 {
		t.Fatalf("%d subjects were seen outside, of two people", len(sources))
	}
	for _, k := range knowns {
		sources = append(sources, Canary{"sub inside", k.user}, Canary{"sid inside", k.session})
	}
	for _, p := range s.people {
		sources = append(sources, p.canaries()...)
	}
	f, ids := finder(t, sources), map[string]string{}
	for i, k := range knowns {
		for service, id := range k.services {
			name := fmt.Sprintf("%s, sign-in %d", service, i)
			if other, twice := ids[id]; twice || id == "" {
				t.Errorf("%s and %s know the same id %q", name, other, id)
			}
			ids[id] = name
			if hits := f.Find([]byte(id)); len(hits) != 0 {
				t.Errorf("the id at %s tells the %s (%s)", name, hits[0].Canary, hits[0].How)
			}
		}
	}
	if len(ids) != 4 {
		t.Errorf("%d ids, of two people at two services", len(ids))
	}
}
