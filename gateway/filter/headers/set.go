package headers

import (
	"errors"
	"fmt"

	"headgate/gateway/expression"
	"headgate/gateway/wire"
)

// A Set is Options and a preset that are ready for use. It is immutable and may be
// used by several goroutines at once. Nil changes nothing.
type Set struct {
	request  changes
	response changes

	plain  []wire.Field // of the preset, for answers that have none of the name
	secure []wire.Field // likewise, and over https only
	hidden []string     // fields of the app that the preset takes out
}

// New returns the Set of o and the preset security: strict, basic, or "" and off for
// none. Errors are those of Validate and of CheckSecurity, under the key security.
func New(o Options, security string) (*Set, error) {
	err := o.Validate()
	if wrong := CheckSecurity(security); wrong != nil {
		err = errors.Join(err, fmt.Errorf("security: %w", wrong))
	}
	if err != nil {
		return nil, err
	}
	s := &Set{}
	if s.request, err = newChanges(o.Request, isKeptInRequests); err != nil {
		return nil, err
	}
	s.request.folds = !s.request.none()
	if s.response, err = newChanges(o.Response, isKeptInAnswers); err != nil {
		return nil, err
	}
	s.take(preset(security))
	return s, nil
}

// take adds what the operator has not decided of a preset.
func (s *Set) take(p presets) {
	undecided := func(all []wire.Field) (out []wire.Field) {
		for _, f := range all {
			if !s.response.decides(f.Name) {
				out = append(out, f)
			}
		}
		return out
	}
	s.plain, s.secure = undecided(p.plain), undecided(p.secure)
	for _, name := range p.hidden {
		if !s.response.decides(name) {
			s.hidden = append(s.hidden, name)
		}
	}
}

// ChangesRequest reports whether Request may change anything.
func (s *Set) ChangesRequest() bool { return s != nil && !s.request.none() }

// ChangesResponse reports whether Response may change anything.
func (s *Set) ChangesResponse() bool {
	return s != nil && (!s.response.none() || len(s.plain)+len(s.secure)+len(s.hidden) > 0)
}

// Request changes the header of a request that goes to the app. f is changed in
// place: its array must belong to the caller. v is called at most once, before f
// changes, and only if there are expressions.
func (s *Set) Request(f *wire.Fields, v func() expression.View) {
	if s.ChangesRequest() {
		s.request.apply(f, v)
	}
}

// Response changes the header of an answer that goes to the client, over TLS if
// secure. f and v are as those of Request; v has the request. Nothing is allocated
// where nothing changes.
func (s *Set) Response(secure bool, f *wire.Fields, v func() expression.View) {
	if !s.ChangesResponse() {
		return
	}
	for _, name := range s.hidden {
		if f.Has(name) {
			f.Del(name)
		}
	}
	s.response.apply(f, v)
	complete(f, s.plain)
	if secure {
		complete(f, s.secure)
	}
}

// complete adds those of a preset that f does not have.
func complete(f *wire.Fields, preset []wire.Field) {
	for _, field := range preset {
		if !f.Has(field.Name) {
			*f = append(*f, field)
		}
	}
}
