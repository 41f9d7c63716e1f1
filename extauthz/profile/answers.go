package profile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"isogate/extauthz/session"
)

const (
	// patience is how long requests wait for one ask, counted from its beginning. Envoy gives a check 1 s in all, then it answers 503 itself: so
	// less, or a cloud that hangs would fail requests of people whose sessions go on.
	patience = 700 * time.Millisecond

	askTimeout = 5 * time.Second  // for one ask; an answer that comes late still counts
	retryAfter = 10 * time.Second // while a cloud does not answer, it is asked once in this time, whoever comes
	maxAsks    = 256              // of one cloud at once; above, sessions go on unasked until there is room

	maxAnswers  = 1 << 15   // before older ones go; twice as many are kept at most
	keepAnswers = time.Hour // before older ones go
)

// Clouds knows what has become of people's sessions in their isolated clouds.
type Clouds interface {
	// Check asks for the moment at which a session ends if nothing more happens. session.ErrNone means that it has ended already; every other
	// error, that it could not be found out.
	Check(ctx context.Context, o session.Outside) (expiry time.Time, err error)
}

// Answers remembers for a while what the isolated clouds said of each grant. All requests with one grant, at whatever host and with however
// old a cookie, cause one ask; and while a cloud does not answer, nobody waits for it more than once in ten seconds. It outlives a reload of
// the file. Everything in it may be lost: it is asked for again.
type Answers struct {
	now    func() time.Time
	failed func(cloud string, err error)

	mu            sync.Mutex
	recent, older map[grantKey]*answer
	turned        time.Time // when recent was begun
	clouds        map[string]*health
}

type grantKey struct{ cloud, grant string }

// answer is the latest one for a grant.
type answer struct {
	asked   time.Time // in whole seconds, as a cookie's; zero while there was none
	ends    time.Time
	dead    bool      // a grant that has ended stays ended
	pending *question // under way
	retry   time.Time // not before
}

// question is one to a cloud.
type question struct {
	session session.Outside
	known   *answer
	health  *health
	began   time.Time
	probe   bool // the one that is tried while the cloud does not answer
	failed  bool
	done    chan struct{}
}

// health is how a cloud answers.
type health struct {
	asking  int
	failing bool
	retry   time.Time // while failing: not before
}

var (
	errSlow  = fmt.Errorf("profile: no answer within %s", patience)
	errPanic = errors.New("profile: asking a cloud panicked")
)

// NewAnswers remembers nothing yet. failed is told when a cloud does not answer, at most once in ten seconds for each; the error says why.
func NewAnswers(now func() time.Time, failed func(cloud string, err error)) *Answers {
	return &Answers{now: now, failed: failed, recent: map[grantKey]*answer{}, turned: now(), clouds: map[string]*health{}}
}

// End remembers that a grant has ended here, so that a copy of its cookie opens nothing any more, although its cloud was asked just before.
func (a *Answers) End(cloud, grant string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep(grantKey{cloud, grant}).dead = true
}

// Ended tells whether a grant is known to have ended.
func (a *Answers) Ended(cloud, grant string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.find(grantKey{cloud, grant}).dead
}

// about gives the newest that is known of a session, after asking its cloud if nothing is newer than every. It may know nothing.
func (a *Answers) about(ctx context.Context, o session.Outside, every time.Duration, clouds Clouds) answer {
	known, asking := a.recall(o, every, clouds)
	if asking == nil {
		return known
	}
	timer := time.NewTimer(patience - a.now().Sub(asking.began))
	defer timer.Stop()
	select {
	case <-asking.done:
	case <-timer.C:
	case <-ctx.Done(): // nobody waits for what comes of it
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.find(grantKey{o.Cloud, o.Grant})
}

// recall finds what is known, and the question to wait for, if any.
func (a *Answers) recall(o session.Outside, every time.Duration, clouds Clouds) (answer, *question) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, now, last := a.find(grantKey{o.Cloud, o.Grant}), a.now(), o.Checked
	if known.asked.After(last) {
		last = known.asked
	}
	switch {
	case known.dead, now.Sub(last) < every:
		return known, nil
	case known.pending != nil:
		return known, known.pending
	case now.Before(known.retry):
		return known, nil
	}
	return known, a.begin(o, clouds)
}

// begin asks a cloud, unless it has too much to answer or does not answer.
func (a *Answers) begin(o session.Outside, clouds Clouds) *question {
	h := a.clouds[o.Cloud]
	if h == nil {
		h = &health{}
		a.clouds[o.Cloud] = h
	}
	now := a.now()
	if h.asking >= maxAsks || h.failing && now.Before(h.retry) {
		return nil
	}
	known := a.keep(grantKey{o.Cloud, o.Grant})
	known.pending = &question{session: o, known: known, health: h, began: now, probe: h.failing, done: make(chan struct{})}
	h.asking, h.retry = h.asking+1, now.Add(retryAfter)
	go a.run(known.pending, clouds)
	return known.pending
}

// run is an ask of its own: the request that caused it may be gone before the answer is there.
func (a *Answers) run(q *question, clouds Clouds) {
	slow := time.AfterFunc(patience, func() { a.fail(q, errSlow) })
	defer slow.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	expiry, err := checkOnce(ctx, q.session, clouds)
	ended := errors.Is(err, session.ErrNone)
	if err != nil && !ended {
		a.fail(q, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		q.known.asked, q.known.ends = q.began.Truncate(time.Second), expiry
	}
	q.known.dead = q.known.dead || ended
	q.health.failing = q.health.failing && err != nil && !ended
	q.health.asking--
	q.known.pending, q.failed = nil, true // what is over can be slow no more
	close(q.done)
}

// checkOnce keeps a fault in reading one answer from ending the process.
func checkOnce(ctx context.Context, o session.Outside, clouds Clouds) (expiry time.Time, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			expiry, err = time.Time{}, fmt.Errorf("%w: %v", errPanic, fault)
		}
	}()
	return clouds.Check(ctx, o)
}

// fail notes that a cloud does not answer, once for each question. Whose question it was waits longer than the others: if the fault lies with
// one grant alone, they find that out.
func (a *Answers) fail(q *question, err error) {
	a.mu.Lock()
	first := !q.failed && (q.probe || !q.health.failing)
	if !q.failed {
		now := a.now()
		q.failed, q.health.failing = true, true
		q.health.retry, q.known.retry = now.Add(retryAfter), now.Add(2*retryAfter)
	}
	a.mu.Unlock()
	if first {
		a.failed(q.session.Cloud, err)
	}
}

func (a *Answers) find(key grantKey) answer {
	if known := a.recent[key]; known != nil {
		return *known
	}
	if known := a.older[key]; known != nil {
		return *known
	}
	return answer{}
}

// keep finds or makes room for an answer among the recent ones. Once there are enough of them, or long enough, the ones before them go.
func (a *Answers) keep(key grantKey) *answer {
	if known := a.recent[key]; known != nil {
		return known
	}
	if now := a.now(); len(a.recent) >= maxAnswers || now.Sub(a.turned) >= keepAnswers {
		a.recent, a.older, a.turned = map[grantKey]*answer{}, a.recent, now
	}
	known := a.older[key]
	if known == nil {
		known = &answer{}
	}
	a.recent[key] = known
	return known
}
