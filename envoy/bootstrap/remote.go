package bootstrap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Remote is a control plane on another machine, reached by mutual TLS 1.3. All fields are required; paths are absolute and Envoy's own.
//
// Envoy reads the certificates by the two files that Secrets gives, and reads them again when a file in the certificate's folder, or in the
// authorities' folder, is replaced by a rename. So a certificate may be short-lived.
type Remote struct {
	Address     string // host:port
	Server      string // what the server's certificate must say: a DNS name, which is also sent as SNI, or a spiffe:// URI
	Certificate string // of this Envoy, PEM, leaf first
	Key         string // of this Envoy, PEM
	Authorities string // who signs the server's certificate, PEM
	Secrets     string // the folder in which the files of SecretFiles stand
}

// Names in Remote.Secrets.
const (
	certificateFile = "xds-certificate.json"
	authoritiesFile = "xds-authorities.json"
)

const (
	remoteConnectTimeout = 2 * time.Second
	spiffe               = "spiffe://"
)

func (r Remote) validate() error {
	var faults []error
	host, port, err := net.SplitHostPort(r.Address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		faults = append(faults, fmt.Errorf("the control plane's address %q must be host:port", r.Address))
	}
	if r.Server == "" || r.Server == spiffe {
		faults = append(faults, errors.New("the control plane's name is required: else any other certificate of its authority would do"))
	}
	for _, file := range []struct{ what, path string }{
		{"certificate", r.Certificate}, {"key", r.Key}, {"authorities", r.Authorities}, {"folder of secrets", r.Secrets},
	} {
		if !filepath.IsAbs(file.path) {
			faults = append(faults, fmt.Errorf("the %s %q must be an absolute path", file.what, file.path))
		}
	}
	return errors.Join(faults...)
}

// cluster is the control plane's, over TCP.
func (r Remote) cluster() (*clusterv3.Cluster, error) {
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(number)},
	}}}
	tls, err := r.tls()
	if err != nil {
		return nil, err
	}
	c, err := cluster(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
	}
	c.ConnectTimeout = durationpb.New(remoteConnectTimeout)
	c.TransportSocket = tls
	return c, nil
}

func (r Remote) tls() (*corev3.TransportSocket, error) {
	san := &tlsv3.SubjectAltNameMatcher{
		SanType: tlsv3.SubjectAltNameMatcher_DNS,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: r.Server}},
	}
	context := &tlsv3.UpstreamTlsContext{Sni: r.Server}
	if strings.HasPrefix(r.Server, spiffe) {
		san.SanType, context.Sni = tlsv3.SubjectAltNameMatcher_URI, ""
	}
	context.CommonTlsContext = &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		},
		AlpnProtocols:                  []string{"h2"},
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{r.fromFile(certificateFile)},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{san}},
			ValidationContextSdsSecretConfig: r.fromFile(authoritiesFile),
		}},
	}
	packed, err := typed(context)
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed}}, nil
}

// fromFile names a secret by the file that holds it.
func (r Remote) fromFile(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
			Path: filepath.Join(r.Secrets, name),
		}},
	}}
}

// SecretFiles are the files to write into the folder Secrets before Envoy starts, by their names. They hold paths and nothing secret.
func (r Remote) SecretFiles() (map[string][]byte, error) {
	if err := r.validate(); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	certificate := &tlsv3.Secret{Name: certificateFile, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: file(r.Certificate), PrivateKey: file(r.Key), WatchedDirectory: folderOf(r.Certificate),
	}}}
	authorities := &tlsv3.Secret{Name: authoritiesFile, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
		TrustedCa: file(r.Authorities), WatchedDirectory: folderOf(r.Authorities),
	}}}
	out := map[string][]byte{}
	for _, secret := range []*tlsv3.Secret{certificate, authorities} {
		packed, err := typed(secret)
		if err != nil {
			return nil, fmt.Errorf("bootstrap: %w", err)
		}
		if out[secret.Name], err = encode(&discoveryv3.DiscoveryResponse{Resources: []*anypb.Any{packed}}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func file(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}

func folderOf(path string) *corev3.WatchedDirectory {
	return &corev3.WatchedDirectory{Path: filepath.Dir(path)}
}
