package doctor

import (
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
)

// filters judges the order of the HTTP filters, and returns the name under which routes may switch the check off; "" if there is none.
func (e *examiner) filters(filters []*hcmv3.HttpFilter, at place) (check string) {
	for _, f := range filters {
		here := at.in("filter", f.GetName())
		m, url := open(f.GetTypedConfig())
		config, isCheck := m.(*extauthzv3.ExtAuthz)
		switch {
		case isCheck:
			if check == "" {
				check = f.GetName()
			}
			if f.GetDisabled() {
				e.found(checkDisabled, here, "disabled: true")
			}
			e.check(config, here)
		case f.GetConfigDiscovery() != nil:
			e.note("%s: its configuration comes on its own (ECDS) and was not looked at", here)
			if check != "" {
				e.found(filterUnknown, here, "not in the text")
			}
		case check == "":
			if answersEarly[kind(m, url)] {
				e.found(filterBefore, here)
			}
		default:
			e.afterCheck(m, url, here)
		}
	}
	e.must(check != "", checkMissing, at)
	return check
}

// answersEarly are filters that answer a request themselves with what a backend said, or let it go on elsewhere. Those that only refuse (limits,
// faults, CORS preflights) do no harm above the check.
var answersEarly = map[string]bool{
	"envoy.extensions.filters.http.cache.v3.CacheConfig":      true,
	"envoy.extensions.filters.http.cache_v2.v3.CacheV2Config": true,
}

func (e *examiner) check(c *extauthzv3.ExtAuthz, at place) {
	e.must(!c.GetFailureModeAllow(), checkFailsOpen, at)
	e.must(c.GetStatusOnError().GetCode() >= typev3.StatusCode_InternalServerError, checkStatus, at)
	e.must(c.GetEncodeRawHeaders(), checkRaw, at)
	e.must(c.GetValidateMutations(), checkValidate, at)
	e.must(!c.GetClearRouteCache(), checkRouteCache, at)
	rules := c.GetDecoderHeaderMutationRules()
	e.must(rules.GetDisallowSystem().GetValue() || rules.GetDisallowAll().GetValue() && rules.GetAllowExpression() == nil, checkMutations, at)
	if enabled := c.GetFilterEnabled(); enabled != nil && !always(enabled.GetDefaultValue()) {
		e.found(checkDisabled, at, "filter_enabled is below 100 percent")
	}
	if c.GetFilterEnabledMetadata() != nil {
		e.found(checkDisabled, at, "filter_enabled_metadata")
	}
}

func always(p *typev3.FractionalPercent) bool {
	whole := map[typev3.FractionalPercent_DenominatorType]uint32{
		typev3.FractionalPercent_HUNDRED: 100, typev3.FractionalPercent_TEN_THOUSAND: 10_000, typev3.FractionalPercent_MILLION: 1_000_000,
	}
	return p.GetNumerator() >= whole[p.GetDenominator()]
}

// kind is the full name of an extension's type, known here or not.
func kind(m proto.Message, url string) string {
	if m != nil {
		return string(m.ProtoReflect().Descriptor().FullName())
	}
	return nameIn(url)
}
