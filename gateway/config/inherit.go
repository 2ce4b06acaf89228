package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
)

// Active is f without what is off or does nothing: such fields have their zero
// value. Maintenance stays as it is, because a running gateway may be told to begin.
// What f points to is shared.
func (f Filters) Active() Filters {
	clear := func(off bool, field any) {
		if off {
			reflect.ValueOf(field).Elem().SetZero()
		}
	}
	clear(isZero(f.Access), &f.Access)
	clear(len(f.RateLimit) == 0, &f.RateLimit)
	clear(len(f.InFlight) == 0, &f.InFlight)
	clear(f.BasicAuth != nil && f.BasicAuth.File == "off", &f.BasicAuth)
	clear(f.ForwardAuth != nil && f.ForwardAuth.On == notation.Disabled, &f.ForwardAuth)
	clear(f.ClientCert == "off", &f.ClientCert)
	clear(f.CrossOrigin != nil && f.CrossOrigin.On == notation.Disabled, &f.CrossOrigin)
	clear(len(f.BodyTypes) == 0, &f.BodyTypes)
	clear(isZero(f.Headers), &f.Headers)
	clear(f.Security == "off", &f.Security)
	clear(isZero(f.CORS), &f.CORS)
	clear(f.Timing == notation.Disabled, &f.Timing)
	clear(f.Compress != nil && f.Compress.On == notation.Disabled, &f.Compress)
	clear(f.Cache != nil && f.Cache.On == notation.Disabled, &f.Cache)
	clear(f.Bandwidth != nil && f.Bandwidth.Rate < 0, &f.Bandwidth)
	clear(len(f.Errors) == 0, &f.Errors)
	return f
}

// isZero reports whether p is nil or points to a value that says nothing, which is
// how a filter without a word for it is off.
func isZero[T any](p *T) bool { return p == nil || reflect.ValueOf(p).Elem().IsZero() }

// inherit takes what f does not say from outer. What is taken is shared, so that
// own can tell it.
func (f *Filters) inherit(outer Filters) {
	to, from := reflect.ValueOf(f).Elem(), reflect.ValueOf(outer)
	for i := range to.NumField() {
		if to.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// own is f without what it has from outer.
func (f Filters) own(outer Filters) Filters {
	mine, from := reflect.ValueOf(&f).Elem(), reflect.ValueOf(outer)
	for i := range mine.NumField() {
		if same(mine.Field(i), from.Field(i)) {
			mine.Field(i).SetZero()
		}
	}
	return f
}

// same reports whether a and b, fields of Filters, are one.
func same(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Slice:
		return a.Pointer() == b.Pointer() && a.Len() == b.Len() && a.IsNil() == b.IsNil()
	case reflect.Map:
		return a.Pointer() == b.Pointer()
	}
	return a.Equal(b)
}

// setDefaults completes what f says. What is complete stays where it is, so that
// those who share it go on sharing it.
func (f *Filters) setDefaults() {
	if !isZero(f.Access) {
		complete(&f.Access)
	}
	if !isZero(f.Headers) {
		complete(&f.Headers)
	}
	if !isZero(f.CORS) {
		complete(&f.CORS)
	}
	complete(&f.BasicAuth)
	complete(&f.CrossOrigin)
	complete(&f.Compress)
	complete(&f.Cache)
	complete(&f.Bandwidth)
	complete(&f.ForwardAuth)
	complete(&f.Maintenance)
	completeAll(&f.RateLimit)
	completeAll(&f.InFlight)
}

// WithDefaults returns a with what it does not say filled in.
func (a ForwardAuth) WithDefaults() ForwardAuth {
	if a.On == notation.Disabled {
		return a
	}
	if a.Pool != "" {
		setDefault(&a.Path, "/")
	}
	setDefault(&a.On, notation.On)
	setDefault(&a.Timeout, 5*time.Second)
	return a
}

// WithDefaults returns m with what it does not say filled in.
func (m Maintenance) WithDefaults() Maintenance {
	setDefault(&m.RetryAfter, 5*time.Minute)
	return m
}

// options are what a leaf knows the defaults of.
type options[T any] interface{ WithDefaults() T }

// complete gives *p the defaults of its type, in a new value if that changes
// anything.
func complete[T options[T]](p **T) {
	if *p == nil {
		return
	}
	if with := (**p).WithDefaults(); !reflect.DeepEqual(with, **p) {
		*p = &with
	}
}

func completeAll[T options[T]](list *[]T) {
	out := slices.Clone(*list)
	for i := range out {
		out[i] = out[i].WithDefaults()
	}
	if !reflect.DeepEqual(out, *list) {
		*list = out
	}
}

// rateNames names the rates that have no name. It has how often each name was given.
type rateNames map[string]int

// namesOf are those that routes and sites have written.
func namesOf(sites []Site) rateNames {
	names := rateNames{}
	for _, s := range sites {
		names.collect(s.Filters)
		eachRoute(s.Routes, func(t *Route) { names.collect(t.Filters) })
	}
	return names
}

func (n rateNames) collect(f Filters) {
	for _, rate := range f.RateLimit {
		n[rate.Name] = 1
	}
}

// fill names the rates of a list by where they are: the first host of the site, and
// the path of the route.
func (n rateNames) fill(list *[]limit.Rate, where string) {
	if !slices.ContainsFunc(*list, func(r limit.Rate) bool { return r.Name == "" }) {
		return
	}
	*list = slices.Clone(*list)
	for i := range *list {
		if (*list)[i].Name == "" {
			(*list)[i].Name = n.free(plainName(where))
		}
	}
}

func (n rateNames) free(name string) string {
	for {
		n[name]++
		count := n[name]
		if count == 1 {
			return name
		}
		if try := fmt.Sprintf("%s-%d", name, count); n[try] == 0 {
			n[try] = 1
			return try
		}
	}
}

// plainName has letters, digits and few signs of s, which every header and store
// takes.
func plainName(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("._/-", r):
			b.WriteRune(r)
		}
	}
	name := b.String()
	return name[:min(len(name), maxName)]
}

// eachRoute calls visit for each route and those within it.
func eachRoute(routes []Route, visit func(t *Route)) {
	for i := range routes {
		visit(&routes[i])
		eachRoute(routes[i].Routes, visit)
	}
}
