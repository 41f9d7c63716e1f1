package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Server answers the checks of one profile.
type Server struct {
	decider Decider
	log     *slog.Logger
	seconds *prometheus.HistogramVec
}

// Metrics are shared by the profiles of a process: isogate_checks_seconds{profile,reason}, whose count is the number of checks. Asked again, it gives
// the same.
func Metrics(registry prometheus.Registerer) *prometheus.HistogramVec {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "isogate_checks_seconds", Help: "Duration of checks in seconds, by profile and reason.",
		Buckets: []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1},
	}, []string{"profile", "reason"})
	var there prometheus.AlreadyRegisteredError
	if err := registry.Register(seconds); errors.As(err, &there) {
		return there.ExistingCollector.(*prometheus.HistogramVec)
	} else if err != nil {
		panic(err) // as MustRegister: another metric has the name
	}
	return seconds
}

// NewServer serves a profile's decisions.
func NewServer(profile string, decider Decider, log *slog.Logger, metrics *prometheus.HistogramVec) *Server {
	return &Server{
		decider: decider, log: log.With("profile", profile),
		seconds: metrics.MustCurryWith(prometheus.Labels{"profile": profile}).(*prometheus.HistogramVec),
	}
}

// check answers Envoy's question. What goes wrong is our own 503.
func (s *Server) check(ctx context.Context, question string) (answer []byte) {
	began := time.Now()
	answer, said := Encode(s.decide(ctx, question))
	reason := strings.ToValidUTF8(string(said.Reason), "?")
	s.seconds.WithLabelValues(reason).Observe(time.Since(began).Seconds())
	if said.Cause != nil && !errors.Is(said.Cause, context.Canceled) { // the client left: nobody waits, and anybody could fill the log
		s.log.ErrorContext(ctx, "a check failed", "reason", reason, "cause", said.Cause.Error())
	}
	return answer
}

// decide keeps a fault in one request from being anything but a denial of that request.
func (s *Server) decide(ctx context.Context, question string) (v Verdict) {
	defer func() {
		if fault := recover(); fault != nil {
			v = Verdict{Reason: Unavailable, Cause: fmt.Errorf("check: panic: %v\n%s", fault, debug.Stack())}
		}
	}()
	request, err := Parse(question)
	if errors.Is(err, errEnvoy) {
		return Verdict{Reason: Unavailable, Cause: err}
	}
	if err != nil {
		return Deny(http.StatusBadRequest, BadRequest, false, "")
	}
	v = s.decider.Decide(ctx, request)
	v.Method = request.Method // one of a few: no other is parsed
	return v
}
