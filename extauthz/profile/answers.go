package profile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"isogate/extauthz/session"
	"isogate/extauthz/signin"
)

const (
	// patience is how long requests wait for one ask, counted from its beginning. Envoy gives a check 1 s in all, then it answers 503 itself: so
	// less, or a cloud that hangs would fail requests of people whose sessions go on.
	patience = 700 * time.Millisecond

	askTimeout = 5 * time.Second  // for one ask; an answer that comes late still counts
	retryAfter = 10 * time.Second // while a cloud does not answer, it is asked once in this time, whoever comes
	maxAsks    = 256              // of one cloud at once; above, sessions go on unasked until there is room

	maxRefusals = 3 // answers in a row that refuse a grant's token, each asked for at least retryAfter after the one before

	maxAnswers  = 1 << 15   // before older ones go; twice as many are kept at most
	keepAnswers = time.Hour // before older ones go
)

// Clouds knows what has become of people's sessions in their isolated clouds.
type Clouds interface {
	// Check asks for the moment at which a session ends if nothing more happens. session.ErrNone means that it has ended already;
	// signin.ErrRefused, that the cloud answers and does not take its token; every other error, that it could not be found out.
	Check(ctx context.Context, o session.Outside) (expiry time.Time, err error)
}

// Answers remembers for a while what the isolated clouds said of each grant. All requests with one grant, at whatever host and with however
// old a cookie, cause one ask; and while a cloud does not answer, nobody waits for it more than once in ten seconds. It outlives a reload of
// the file. Everything in it may be lost: it is asked for again.
//
// A cloud that answers but does not take a grant's token says nothing about the others. It may be wrong for a while, as after a change of its
// keys; but a token that is never taken again would live here until its end, whatever becomes of the person inside. So the third such answer
// in a row, after twenty seconds at least, ends the session here.
type Answers struct {
	now    func() time.Time
	failed func(cloud string, err error)

	mu            sync.Mutex
	recent, older map[grantKey]*answer
	turned        time.Time               // when recent was begun
	ended         map[string]*endedGrants // by cloud
	clouds        map[string]*health
}

type grantKey struct{ cloud, grant string }

// answer is the latest one for a grant.
type answer struct {
	asked    time.Time // in whole seconds, as a cookie's; zero while there was none
	ends     time.Time
	refusals int       // of its token, since asked
	pending  *question // under way
	retry    time.Time // not before
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

// NewAnswers remembers nothing yet. failed is told why a cloud did not say whether a session lives: while it does not answer at all, once in
// ten seconds.
func NewAnswers(now func() time.Time, failed func(cloud string, err error)) *Answers {
	return &Answers{
		now: now, failed: failed, recent: map[grantKey]*answer{}, turned: now(), ended: map[string]*endedGrants{}, clouds: map[string]*health{},
	}
}

// End remembers that the grant of a session has ended, so that a copy of its cookie opens nothing any more, although its cloud was asked just
// before.
func (a *Answers) End(o session.Outside) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end(o)
}

// anyLimit is later than any limit of a session inside.
var anyLimit = time.Unix(1<<40, 0)

// end remembers it until the last moment that any cookie of the grant may hold. Such a moment moves in either direction, so that a copy, or
// another host's cookie, may be later than the one at hand.
func (a *Answers) end(o session.Outside) {
	ended := a.ended[o.Cloud]
	if ended == nil {
		ended = &endedGrants{known: map[string]bool{}}
		a.ended[o.Cloud] = ended
	}
	ended.add(o.Grant, o.Until(anyLimit).Ends, a.now())
}

// about gives the newest that is known of a session, after asking its cloud if nothing is newer than every. It may know nothing.
func (a *Answers) about(ctx context.Context, o session.Outside, every time.Duration, clouds Clouds) (known answer, ended bool) {
	known, ended, asking := a.recall(o, every, clouds)
	if asking == nil {
		return known, ended
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
	return a.find(o)
}

// recall finds what is known, and the question to wait for, if any.
func (a *Answers) recall(o session.Outside, every time.Duration, clouds Clouds) (known answer, ended bool, asking *question) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ended = a.find(o)
	now, last := a.now(), o.Checked
	if known.asked.After(last) {
		last = known.asked
	}
	switch {
	case ended, now.Sub(last) < every:
		return known, ended, nil
	case known.pending != nil:
		return known, false, known.pending
	case now.Before(known.retry):
		return known, false, nil
	}
	return known, false, a.begin(o, clouds)
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
	refused := errors.Is(err, signin.ErrRefused)
	answered := err == nil || refused || errors.Is(err, session.ErrNone)
	if !answered {
		a.fail(q, err)
	}
	a.settle(q, expiry, err, answered)
	if refused {
		a.failed(q.session.Cloud, err)
	}
}

// settle notes what came of a question.
func (a *Answers) settle(q *question, expiry time.Time, err error, answered bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		q.known.asked, q.known.ends, q.known.refusals = q.began.Truncate(time.Second), expiry, 0
	case errors.Is(err, session.ErrNone):
		a.end(q.session)
	case answered:
		a.refuse(q)
	}
	q.health.failing = q.health.failing && !answered
	q.health.asking--
	q.known.pending, q.failed = nil, true // what is over can be slow no more
	close(q.done)
}

// refuse notes that a cloud does not take a grant's token. That grant alone waits.
func (a *Answers) refuse(q *question) {
	q.known.refusals++
	q.known.retry = a.now().Add(retryAfter)
	if q.known.refusals >= maxRefusals {
		a.end(q.session)
	}
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

// find gives the latest answer for a session, and whether its grant is known to have ended.
func (a *Answers) find(o session.Outside) (known answer, ended bool) {
	key, ended := grantKey{o.Cloud, o.Grant}, a.ended[o.Cloud].has(o.Grant)
	if known := a.recent[key]; known != nil {
		return *known, ended
	}
	if known := a.older[key]; known != nil {
		return *known, ended
	}
	return answer{}, ended
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
