package world

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// process is one running program.
type process interface {
	Pid() int
	Done() <-chan struct{}
	Stop() error // asks it to end, and waits
	Kill() error // kill -9
}

// restartAfter is how long a part that died stays down.
const restartAfter = 500 * time.Millisecond

// Part is a program of the world that is started again when it dies by itself, as an orchestrator would.
type Part struct {
	Name  string
	start func(context.Context) (process, error)
	again func() // called after a restart that nobody asked for

	mu      sync.Mutex
	running process // nil while stopped on purpose
}

// Start starts the part and watches over it.
func (p *Part) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != nil {
		return nil
	}
	return p.launch(ctx)
}

// launch is called with the lock held.
func (p *Part) launch(ctx context.Context) error {
	started, err := p.start(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	p.running = started
	go p.watch(started)
	return nil
}

// watch restarts the part when the process ends and nobody stopped it.
func (p *Part) watch(started process) {
	<-started.Done()
	time.Sleep(restartAfter)
	for !p.restart(started) {
		time.Sleep(restartAfter)
	}
}

func (p *Part) restart(ended process) (done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running != ended {
		return true
	}
	if err := p.launch(context.Background()); err != nil {
		return false
	}
	go p.again()
	return true
}

// Replace starts a second process beside the running one, hands both to retire, and then stops the old one: what a rolling update does.
func (p *Part) Replace(ctx context.Context, retire func(old, fresh process) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.running
	if old == nil {
		return fmt.Errorf("world: %s does not run", p.Name)
	}
	if err := p.launch(ctx); err != nil {
		return err
	}
	if err := retire(old, p.running); err != nil {
		return err
	}
	return old.Stop()
}

// Stop ends the part until it is started again.
func (p *Part) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return nil
	}
	ending := p.running
	p.running = nil
	return ending.Stop()
}

// Kill kills the process as a crash would; the part comes back by itself.
func (p *Part) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return fmt.Errorf("world: %s does not run", p.Name)
	}
	return p.running.Kill()
}

// Pid is the process id, 0 while stopped.
func (p *Part) Pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		return 0
	}
	return p.running.Pid()
}
