package expression

import (
	"errors"
	"net/netip"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// addressType is the type of client.ip. It is never written.
var addressType = cel.OpaqueType("address")

// address is the value of client.ip. Only pointers to it are values.
type address struct{ netip.Addr }

// Type returns address.
func (a *address) Type() ref.Type { return addressType }

// Value returns the netip.Addr.
func (a *address) Value() any { return a.Addr }

// Equal compares with another address; IPv4 counts in either form.
func (a *address) Equal(other ref.Val) ref.Val {
	o, ok := other.(*address)
	return types.Bool(ok && o.Unmap() == a.Unmap())
}

// ConvertToType gives the address as a string, "" when there is none.
func (a *address) ConvertToType(to ref.Type) ref.Val {
	switch to {
	case types.StringType:
		if !a.IsValid() {
			return types.String("")
		}
		return types.String(a.Unmap().String())
	case types.TypeType:
		return addressType
	}
	return types.NewErr("an address is no %s", to.TypeName())
}

// ConvertToNative is not needed by any function that expressions have.
func (a *address) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("an address has no other form")
}
