package push

import (
	"encoding/json"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/topology"
)

// Metrics of all servers of a process.
type Metrics struct {
	streams  *prometheus.GaugeVec
	answers  *prometheus.CounterVec
	accepted *prometheus.GaugeVec
}

// NewMetrics registers them.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isogate_xds_streams", Help: "Envoys that are connected.",
		}, []string{"role"}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isogate_xds_answers_total", Help: "What Envoys answered to resources that they were sent: accepted or refused.",
		}, []string{"role", "type", "result"}),
		accepted: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "isogate_xds_accepted", Help: "1 if a connected Envoy accepted what it was sent last, 0 if it refused and keeps older resources.",
		}, []string{"role", "node", "type"}),
	}
	registry.MustRegister(m.streams, m.answers, m.accepted)
	return m
}

func (m *Metrics) answered(role topology.Role, node, name string, accepted bool) {
	result, value := "refused", 0.0
	if accepted {
		result, value = "accepted", 1
	}
	m.answers.WithLabelValues(string(role), name, result).Inc()
	m.accepted.WithLabelValues(string(role), node, name).Set(value)
}

func (m *Metrics) forget(role topology.Role, node string) {
	m.accepted.DeletePartialMatch(prometheus.Labels{"role": string(role), "node": node})
}

// Status is what one server's Envoys have.
type Status struct {
	Version string                       `json:"version"` // of the resources that are served now
	Nodes   map[string]map[string]Answer `json:"nodes"`   // by node id, then by type: cluster, listener, route, secret
}

// Answer is the state of one resource type at one Envoy.
type Answer struct {
	Version string `json:"version"`           // of the set that it was sent last; "" if it waits for its first
	State   string `json:"state"`             // waiting, accepted or refused
	Refusal string `json:"refusal,omitempty"` // Envoy's words, cut
}

// Status is a copy of what is known now.
func (s *Server) Status() Status { return s.record.status() }

// MarshalJSON lets the server itself be a note on the admin's status page, current whenever it is read.
func (s *Server) MarshalJSON() ([]byte, error) { return json.Marshal(s.Status()) }

func (r *record) status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Status{Version: r.version, Nodes: map[string]map[string]Answer{}}
	for _, s := range r.streams {
		if s.node == "" {
			continue
		}
		if out.Nodes[s.node] == nil {
			out.Nodes[s.node] = map[string]Answer{}
		}
		for name, exchange := range s.types {
			out.Nodes[s.node][name] = exchange.answer()
		}
	}
	return out
}

func (e sent) answer() Answer {
	a := Answer{Version: e.version, State: "waiting", Refusal: e.refusal}
	switch {
	case e.refusal != "":
		a.State = "refused"
	case e.answered:
		a.State = "accepted"
	}
	return a
}
