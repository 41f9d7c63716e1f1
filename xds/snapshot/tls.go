package snapshot

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// suites are the TLS 1.2 suites of RFC 9325 section 4.2: ECDHE with an AEAD. TLS 1.3 has no others.
var suites = []string{
	"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
	"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
	"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
}

// serverTLS has certificates that come as secrets, so that a new one reaches new handshakes and cuts no open connection. Of several, Envoy takes the one
// that fits the server name.
func (b *builder) serverTLS(certificates int) *tlsv3.DownstreamTlsContext {
	common := &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2,
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
			CipherSuites:              suites,
		},
		AlpnProtocols: []string{"h2", "http/1.1"},
	}
	for i := range certificates {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, secretFrom(secretName(i)))
	}
	return &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
}

// callersTLS also demands a certificate of the client's, of the authorities in the secret "callers", with a URI of the trust domain: a DNS name that
// reads like a SPIFFE id is none. Which URI counts where there are several is the check's to refuse. No session is resumed: each connection is held
// against the authorities of the moment, so whoever is struck off is out at once.
func (b *builder) callersTLS(certificates int, trustDomain string) *tlsv3.DownstreamTlsContext {
	config := b.serverTLS(certificates)
	config.RequireClientCertificate = yes
	config.DisableStatefulSessionResumption = true
	config.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{DisableStatelessSessionResumption: true}
	config.CommonTlsContext.ValidationContextType = holdAgainst(CallersSecret, &tlsv3.SubjectAltNameMatcher{
		SanType: tlsv3.SubjectAltNameMatcher_URI,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "spiffe://" + trustDomain + "/"}},
	})
	return config
}

func (b *builder) downstreamTLS(config *tlsv3.DownstreamTlsContext) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.any(config)},
	}
}

// gatewayTLS shows our own certificate to a gateway, and believes one that has exactly this DNS name among its subject alternative names and is of the
// authorities in a secret.
func (b *builder) gatewayTLS(host, authorities string) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.any(&tlsv3.UpstreamTlsContext{
			Sni: host,
			CommonTlsContext: &tlsv3.CommonTlsContext{
				TlsParams: &tlsv3.TlsParameters{
					TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
				},
				AlpnProtocols:                  []string{"h2"},
				TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{secretFrom(secretName(0))},
				ValidationContextType: holdAgainst(authorities, &tlsv3.SubjectAltNameMatcher{
					SanType: tlsv3.SubjectAltNameMatcher_DNS,
					Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: host}},
				}),
			},
		})},
	}
}

// holdAgainst verifies a peer by the authorities of a secret and by a name: without the name any certificate of theirs would do.
func holdAgainst(authorities string, name *tlsv3.SubjectAltNameMatcher) *tlsv3.CommonTlsContext_CombinedValidationContext {
	return &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
		DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{name}},
		ValidationContextSdsSecretConfig: secretFrom(authorities),
	}}
}

func secretFrom(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: ads()}
}
