package doctor

import (
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
)

// suites are the TLS 1.2 suites of RFC 9325 section 4.2.
var suites = []string{
	"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
	"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
}

func (e *examiner) downstream(socket *corev3.TransportSocket, at place) {
	m, _ := open(socket.GetTypedConfig())
	if tls, ok := m.(*tlsv3.DownstreamTlsContext); ok {
		e.tls(tls.GetCommonTlsContext().GetTlsParams(), at)
	}
}

// takesCallers is true where nobody comes in without a certificate: a gateway.
func takesCallers(socket *corev3.TransportSocket) bool {
	m, _ := open(socket.GetTypedConfig())
	tls, _ := m.(*tlsv3.DownstreamTlsContext)
	return tls.GetRequireClientCertificate().GetValue()
}

// tls takes what is absent for Envoy's default, which is 1.2 and good suites.
func (e *examiner) tls(p *tlsv3.TlsParameters, at place) {
	switch p.GetTlsMinimumProtocolVersion() {
	case tlsv3.TlsParameters_TLSv1_0, tlsv3.TlsParameters_TLSv1_1:
		e.found(tlsVersion, at)
	}
	for _, entry := range p.GetCipherSuites() {
		for suite := range strings.SplitSeq(strings.Trim(entry, "[]"), "|") {
			if !slices.Contains(suites, suite) && !strings.HasPrefix(suite, "TLS_") { // those are TLS 1.3's
				e.found(tlsSuites, at, suite)
			}
		}
	}
}

func (e *examiner) cluster(c *clusterv3.Cluster) {
	at := place("").in("cluster", c.GetName())
	if tls := upstreamTLS(c); tls != nil {
		e.tls(tls.GetCommonTlsContext().GetTlsParams(), at)
	}
	for _, options := range c.GetTypedExtensionProtocolOptions() {
		m, _ := open(options)
		if http, ok := m.(*httpv3.HttpProtocolOptions); ok {
			e.upstreamFilters(http.GetHttpFilters(), at)
		}
	}
}

func upstreamTLS(c *clusterv3.Cluster) *tlsv3.UpstreamTlsContext {
	m, _ := open(c.GetTransportSocket().GetTypedConfig())
	tls, _ := m.(*tlsv3.UpstreamTlsContext)
	return tls
}

// controlPlane judges whoever gives this Envoy its configuration.
func (e *examiner) controlPlane() {
	dynamic := e.bootstrap.GetDynamicResources()
	for _, source := range []struct {
		name   string
		config *corev3.ApiConfigSource
	}{
		{"ads_config", dynamic.GetAdsConfig()},
		{"lds_config", dynamic.GetLdsConfig().GetApiConfigSource()},
		{"cds_config", dynamic.GetCdsConfig().GetApiConfigSource()},
	} {
		at := place("").in("bootstrap", "dynamic_resources."+source.name)
		for _, service := range source.config.GetGrpcServices() {
			e.xdsService(service, at)
		}
		for _, name := range source.config.GetClusterNames() {
			e.xdsCluster(name, at)
		}
	}
}

func (e *examiner) xdsService(s *corev3.GrpcService, at place) {
	google := s.GetGoogleGrpc()
	if google == nil {
		e.xdsCluster(s.GetEnvoyGrpc().GetClusterName(), at)
		return
	}
	own := google.GetChannelCredentials().GetSslCredentials()
	if !strings.HasPrefix(google.GetTargetUri(), "unix:") && own.GetPrivateKey() == nil {
		e.found(xdsOpen, at, google.GetTargetUri())
	}
}

func (e *examiner) xdsCluster(name string, at place) {
	cluster := e.clusters[name]
	if onSocket(cluster) {
		return
	}
	common := upstreamTLS(cluster).GetCommonTlsContext()
	if len(common.GetTlsCertificates())+len(common.GetTlsCertificateSdsSecretConfigs()) == 0 {
		e.found(xdsOpen, at, name)
		return
	}
	if !verifies(common) {
		e.found(xdsUnverified, at, name)
	}
}

// verifies demands an authority and a name: with an authority alone, any other Envoy's certificate would do. What comes by SDS is believed.
func verifies(c *tlsv3.CommonTlsContext) bool {
	own, combined := c.GetValidationContext(), c.GetCombinedValidationContext()
	names := len(own.GetMatchTypedSubjectAltNames()) + len(combined.GetDefaultValidationContext().GetMatchTypedSubjectAltNames())
	authority := own.GetTrustedCa() != nil || combined.GetDefaultValidationContext().GetTrustedCa() != nil ||
		combined.GetValidationContextSdsSecretConfig() != nil
	return c.GetValidationContextSdsSecretConfig() != nil || names > 0 && authority
}

// onSocket is true for a cluster all of whose endpoints are unix sockets.
func onSocket(c *clusterv3.Cluster) bool {
	count := 0
	for _, locality := range c.GetLoadAssignment().GetEndpoints() {
		for _, endpoint := range locality.GetLbEndpoints() {
			if endpoint.GetEndpoint().GetAddress().GetPipe() == nil {
				return false
			}
			count++
		}
	}
	return count > 0
}
