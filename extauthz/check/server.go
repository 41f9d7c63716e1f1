package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
)

// Server answers the checks of one profile.
type Server struct {
	auth.UnimplementedAuthorizationServer
	decider Decider
	log     *slog.Logger
	seconds *prometheus.HistogramVec
}

// Metrics are shared by the profiles of a process: isogate_checks_seconds{profile,reason}, whose count is the number of checks.
func Metrics(registry prometheus.Registerer) *prometheus.HistogramVec {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "isogate_checks_seconds", Help: "Duration of checks in seconds, by profile and reason.",
		Buckets: []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1},
	}, []string{"profile", "reason"})
	registry.MustRegister(seconds)
	return seconds
}

// NewServer serves a profile's decisions.
func NewServer(profile string, decider Decider, log *slog.Logger, metrics *prometheus.HistogramVec) *Server {
	return &Server{
		decider: decider, log: log.With("profile", profile),
		seconds: metrics.MustCurryWith(prometheus.Labels{"profile": profile}).(*prometheus.HistogramVec),
	}
}

// Register puts the service on a gRPC server.
func (s *Server) Register(on grpc.ServiceRegistrar) { auth.RegisterAuthorizationServer(on, s) }

// Check answers Envoy. It never returns an error: what goes wrong is our own 503.
func (s *Server) Check(ctx context.Context, in *auth.CheckRequest) (*auth.CheckResponse, error) {
	began := time.Now()
	verdict := sound(s.decide(ctx, in))
	answer := Encode(verdict)
	reason := answer.GetDynamicMetadata().GetFields()["reason"].GetStringValue()
	s.seconds.WithLabelValues(reason).Observe(time.Since(began).Seconds())
	if verdict.Cause != nil && !errors.Is(verdict.Cause, context.Canceled) { // the client left: nobody waits, and anybody could fill the log
		s.log.ErrorContext(ctx, "a check failed", "reason", reason, "cause", verdict.Cause.Error())
	}
	return answer, nil
}

// decide keeps a fault in one request from being anything but a denial of that request.
func (s *Server) decide(ctx context.Context, in *auth.CheckRequest) (v Verdict) {
	defer func() {
		if fault := recover(); fault != nil {
			v = Verdict{Reason: Unavailable, Cause: fmt.Errorf("check: panic: %v\n%s", fault, debug.Stack())}
		}
	}()
	request, err := Parse(in)
	if errors.Is(err, errRawHeaders) {
		return Verdict{Reason: Unavailable, Cause: err}
	}
	if err != nil {
		return Deny(http.StatusBadRequest, BadRequest, false, "")
	}
	return s.decider.Decide(ctx, request)
}
