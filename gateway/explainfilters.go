package gateway

// What stands before an action, for explanations.
func (a *rated) inner() action      { return a.next }
func (a *crowded) inner() action    { return a.next }
func (a *preflight) inner() action  { return a.next }
func (a *saying) inner() action     { return a.next }
func (a *dressed) inner() action    { return a.next }
func (a *paced) inner() action      { return a.next }
func (a *compressed) inner() action { return a.next }
func (a *cached) inner() action     { return a.next }
func (a *maintained) inner() action { return a.next }
func (a *mirror) inner() action     { return a.next }
func (a rewrite) inner() action     { return a.next }
func (a guarding) inner() action    { return a.next }
