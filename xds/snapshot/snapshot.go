package snapshot

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// Resources is everything that one role's Envoys get. It is immutable once built; Secrets hold private keys, so it is never printed whole.
type Resources struct {
	Listeners []*listenerv3.Listener
	Clusters  []*clusterv3.Cluster
	Routes    []*routev3.RouteConfiguration
	Secrets   []*tlsv3.Secret

	// seals are the digests of those messages that were validated when they were built. Nobody changes a message afterwards, so neither is done again:
	// the routes of a large gateway have megabytes.
	seals map[proto.Message]seal
}

// seal is the digest of a message's content.
type seal [sha256.Size]byte

// All lists every resource: clusters, listeners, routes, secrets.
func (r Resources) All() []proto.Message {
	var all []proto.Message
	all = append(all, messages(r.Clusters)...)
	all = append(all, messages(r.Listeners)...)
	all = append(all, messages(r.Routes)...)
	return append(all, messages(r.Secrets)...)
}

func messages[M proto.Message](list []M) []proto.Message {
	out := make([]proto.Message, len(list))
	for i, m := range list {
		out[i] = m
	}
	return out
}

// Version is the digest of the content: 32 hexadecimal digits. Equal sets have equal versions, whatever process built them.
func (r Resources) Version() string {
	hash := sha256.New()
	for _, m := range r.All() {
		digest, sealed := r.seals[m]
		if !sealed {
			digest, _ = sealOf(m) // Validate refuses what does not marshal
		}
		hash.Write(digest[:])
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

func sealOf(m proto.Message) (seal, error) {
	raw, err := deterministic.Marshal(m)
	return sha256.Sum256(append(raw, m.ProtoReflect().Descriptor().FullName()...)), err
}

// Keeping returns these resources with those clusters of an earlier set that they no longer have. It is the first of two steps in which a
// cluster goes away: requests that Envoy routed with its old table must still find it.
func (r Resources) Keeping(earlier Resources) (kept Resources, gone int) {
	kept = r
	kept.Clusters = slices.Clone(r.Clusters)
	for _, old := range earlier.Clusters {
		if !slices.ContainsFunc(r.Clusters, func(c *clusterv3.Cluster) bool { return c.GetName() == old.GetName() }) {
			kept.Clusters = append(kept.Clusters, old)
			gone++
		}
	}
	sortByName(kept.Clusters)
	return kept, gone
}

var deterministic = proto.MarshalOptions{Deterministic: true}

// builder packs extension messages; the first failure stays and is reported by finish.
type builder struct {
	err   error
	valid validator
}

func (b *builder) any(m proto.Message) *anypb.Any {
	packed := new(anypb.Any)
	if err := anypb.MarshalFrom(packed, m, deterministic); err != nil {
		b.err = cmp.Or(b.err, fmt.Errorf("snapshot: packing %s: %w", m.ProtoReflect().Descriptor().FullName(), err))
	}
	return packed
}

// finish sorts and validates. What Envoy would refuse by a constraint of its API is refused here first: Envoy applies a set that it refuses in
// part by halves.
func (b *builder) finish(r Resources) (Resources, error) {
	if b.err != nil {
		return Resources{}, b.err
	}
	sortByName(r.Clusters)
	sortByName(r.Listeners)
	sortByName(r.Routes)
	sortByName(r.Secrets)
	if err := r.seal(b.valid); err != nil {
		return Resources{}, err
	}
	return r, nil
}

func sortByName[M interface{ GetName() string }](list []M) {
	slices.SortFunc(list, func(a, b M) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

// Validate applies the constraints of Envoy's API to every resource, inside every Any too, and refuses what cannot be sent at all. It refuses a
// set without a listener or a cluster: Envoy would close its ports at once.
func Validate(r Resources) error { return r.seal(nil) }

// seal validates what has no seal yet, and gives it one.
func (r *Resources) seal(valid validator) error {
	if len(r.Listeners) == 0 || len(r.Clusters) == 0 {
		return errors.New("snapshot: no listener or no cluster: an empty set would close every port")
	}
	seals := map[proto.Message]seal{}
	for _, m := range r.All() {
		digest, sealed := r.seals[m]
		if !sealed {
			var err error
			digest, err = sealOf(m)
			if err = cmp.Or(err, valid.validate(m)); err != nil {
				return fmt.Errorf("snapshot: %s: %w", m.ProtoReflect().Descriptor().Name(), err)
			}
		}
		seals[m] = digest
	}
	r.seals = seals
	return nil
}

// validator knows what was packed and found valid before.
type validator map[*anypb.Any]bool

// validate calls the generated check of a message, which stops at each Any, and goes on inside those.
func (v validator) validate(m proto.Message) error {
	if checked, ok := m.(interface{ ValidateAll() error }); ok {
		if err := checked.ValidateAll(); err != nil {
			return err
		}
	}
	return v.inside(m.ProtoReflect())
}

func (v validator) inside(m protoreflect.Message) (err error) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		if v[packed] {
			return nil
		}
		inner, err := packed.UnmarshalNew()
		if err != nil {
			return err
		}
		return v.validate(inner)
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		eachMessage(field, value, func(inner protoreflect.Message) {
			err = cmp.Or(err, v.inside(inner))
		})
		return err == nil
	})
	return err
}

// eachMessage visits the messages that one field holds: itself, its items or its map's values.
func eachMessage(field protoreflect.FieldDescriptor, value protoreflect.Value, visit func(protoreflect.Message)) {
	switch {
	case field.IsMap():
		if field.MapValue().Message() != nil {
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { visit(v.Message()); return true })
		}
	case field.Message() == nil:
	case field.IsList():
		for i := range value.List().Len() {
			visit(value.List().Get(i).Message())
		}
	default:
		visit(value.Message())
	}
}
