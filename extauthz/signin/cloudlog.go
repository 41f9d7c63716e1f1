package signin

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// logEvery is how often one thing that goes wrong with one isolated cloud is logged.
const logEvery = 10 * time.Second

// CloudLog logs what goes wrong with isolated clouds: each thing once in ten seconds for each cloud, with the number of times that were left out
// since. People outside cause such calls as often as they like, so that they could fill the log while a cloud is away.
type CloudLog struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	said map[complaint]*said // as many as the directory has clouds, times the few messages that there are
}

type complaint struct{ cloud, message string }

type said struct {
	at   time.Time
	left int // out since
}

// NewCloudLog has said nothing yet.
func NewCloudLog(log *slog.Logger, now func() time.Time) *CloudLog {
	return &CloudLog{log: log, now: now, said: map[complaint]*said{}}
}

// Warn logs a message, unless it was logged for that cloud a moment ago. cause must not hold what a cloud sent, at any length.
func (l *CloudLog) Warn(ctx context.Context, cloud, message string, cause error) {
	if left, due := l.due(complaint{cloud, message}); due {
		l.log.WarnContext(ctx, message, "cloud", cloud, "cause", cause.Error(), "left_out", left)
	}
}

// due tells whether it is time to say something again, and how often it was not.
func (l *CloudLog) due(c complaint) (left int, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, last := l.now(), l.said[c]
	if last != nil && now.Sub(last.at) < logEvery {
		last.left++
		return 0, false
	}
	if last != nil {
		left = last.left
	}
	l.said[c] = &said{at: now}
	return left, true
}
