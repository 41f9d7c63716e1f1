package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin is what an operator asks a daemon: /healthz (it runs), /readyz (it can do its work), /metrics and /status. It stands on a listener
// of its own, on loopback unless the file says otherwise, and never on a port that Envoy forwards to.
type Admin struct {
	Metrics *prometheus.Registry
	reloads *prometheus.CounterVec

	mu       sync.Mutex
	draining bool
	ready    map[string]error
	notes    map[string]any
}

// NewAdmin starts with the Go and process collectors and with nothing to wait for.
func NewAdmin() *Admin {
	a := &Admin{Metrics: prometheus.NewRegistry(), ready: map[string]error{}, notes: map[string]any{}}
	a.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "isogate_reloads_total", Help: "Files that changed and were read again, by what they hold and how it ended.",
	}, []string{"what", "result"})
	a.Metrics.MustRegister(a.reloads, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return a
}

// Ready sets one condition of readiness; nil holds. The daemon is ready when all conditions that were ever named hold and it does not drain.
func (a *Admin) Ready(condition string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready[condition] = err
}

// Note puts a value on /status that is no condition of readiness: a digest, the state of a provider. It must not be secret or personal.
func (a *Admin) Note(name string, value any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes[name] = value
}

// Reloaded makes the end of a reload visible in three places: a log line, the counter isogate_reloads_total{what,result}, and the status
// page. A failed one means that the last good state stays.
func (a *Admin) Reloaded(log *slog.Logger, what string, err error) {
	if err != nil {
		a.reloads.WithLabelValues(what, "failed").Inc()
		a.Note("reload of "+what, "failed, the last good state stays: "+err.Error())
		log.Error("reload failed, the last good state stays", "what", what, "error", err.Error())
		return
	}
	a.reloads.WithLabelValues(what, "ok").Inc()
	a.Note("reload of "+what, "ok")
	log.Info("loaded", "what", what)
}

// Drain makes the daemon unready for good, so that whoever balances load turns away before the listeners close.
func (a *Admin) Drain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
}

// status is a copy of what is known now.
func (a *Admin) status() (ready bool, conditions map[string]string, notes map[string]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ready, conditions = !a.draining, map[string]string{}
	for name, err := range a.ready {
		conditions[name] = "ok"
		if err != nil {
			ready, conditions[name] = false, err.Error()
		}
	}
	return ready, conditions, maps.Clone(a.notes)
}

// ServeHTTP answers the four addresses.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ready, conditions, notes := a.status()
	switch r.URL.Path {
	case "/healthz":
		fmt.Fprintln(w, "ok")
	case "/readyz":
		writeJSON(w, map[bool]int{true: http.StatusOK, false: http.StatusServiceUnavailable}[ready], conditions)
	case "/status":
		writeJSON(w, http.StatusOK, map[string]any{"ready": ready, "conditions": conditions, "notes": notes})
	case "/metrics":
		promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		http.Error(w, "a note cannot be written as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// Unit binds the admin listener. No address is an error: net.Listen would take it for every address and any port.
func (a *Admin) Unit(address Address) (Unit, error) {
	if address == "" {
		return Unit{}, errors.New("daemon: the admin listener has no address")
	}
	listener, err := net.Listen("tcp", string(address))
	if err != nil {
		return Unit{}, fmt.Errorf("daemon: the admin listener: %w", err)
	}
	return HTTP("admin", listener, a), nil
}
