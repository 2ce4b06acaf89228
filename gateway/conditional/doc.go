// Package conditional decides what is sent of a representation: all of it, parts of
// it, or nothing because the client has it or its precondition fails (RFC 9110, 13
// and 14).
//
//	v := conditional.Validators{ETag: `"abc"`, Modified: modified}
//	if status := conditional.Check(r, v, true); status != 0 {
//		return status // 304 or 412
//	}
//	ranges, ok := conditional.Ranges(r, v, size)
//	if !ok {
//		return 416 // with Content-Range: conditional.Unsatisfied(size)
//	}
//
// A caller does not ask if the answer without preconditions would be neither 2xx nor
// 412 (13.2.1). Where the RFC leaves a choice it is nginx's.
package conditional
