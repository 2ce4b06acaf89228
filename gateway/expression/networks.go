package expression

import (
	"net/netip"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// inNetworks is the function that client.ip in [...] becomes. Nobody can write its name.
const inNetworks = "@in_networks"

// networks evaluates client.ip in [...] with the networks parsed.
type networks struct {
	interpreter.InterpretableCall
	client interpreter.InterpretableV2
	list   []netip.Prefix
}

// Exec reports whether one of the networks has the client. An IPv4 address counts
// in either form, and is not in ::/0.
func (n *networks) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	v := n.client.Exec(frame)
	a, ok := v.(*address)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	ip := a.Unmap().WithZone("")
	for _, p := range n.list {
		if p.Contains(ip) {
			return types.True
		}
	}
	return types.False
}

// Eval is Exec for the older of the library's interfaces.
func (n *networks) Eval(vars cel.Activation) ref.Val { return n.Exec(interpreter.AsFrame(vars)) }

// Args are what is counted; the list costs no evaluation.
func (n *networks) Args() []interpreter.InterpretableV2 {
	return []interpreter.InterpretableV2{n.client}
}

// place puts the parsed networks where the library has planned the call.
func (c *compiler) place(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := i.(interpreter.InterpretableCall)
	if !ok || call.Function() != inNetworks {
		return i, nil
	}
	return &networks{InterpretableCall: call, client: call.Args()[0], list: c.networks[call.ID()]}, nil
}

// parseNetwork reads a network such as 10.0.0.0/8, or a single address.
func parseNetwork(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}
