package config

import (
	_ "embed"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"headgate/gateway/notation"
)

// descriptions are the comments of every key, by the type and the field that have
// it. A test writes the file from the sources (go test -run Schema -update).
//
//go:embed descriptions.json
var descriptions []byte

// Patterns of values that are more than text. Each also lets ${NAME} pass, as do
// numbers and booleans.
const (
	variablePattern = `\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}`
	durationPattern = `([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+`
	ratePattern     = `[0-9]+ */ *([0-9]+(\.[0-9]*)?)?(ms|s|m|h|d)`
	sizePattern     = `[0-9]+(\.[0-9]+)? *([KMG]iB|[kKMG]B|[kKmMgG]|B)?`
)

// Schema returns the JSON Schema (2020-12) of what Parse accepts, for editors.
// References between keys and the syntax of addresses are beyond it.
func Schema() []byte {
	texts := map[string]string{}
	if err := json.Unmarshal(descriptions, &texts); err != nil {
		panic("config: descriptions.json: " + err.Error())
	}
	all := rules()
	s := reflected(reflect.TypeFor[Config](), texts)
	s.Title = "headgate.yaml"
	refine(s, path{}, all)
	route := reflected(reflect.TypeFor[Route](), texts)
	route.Version = ""
	refine(route, path{}.keys("sites").item(0).key("routes").item(0), all)
	s.Definitions = jsonschema.Definitions{"route": route}
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: " + err.Error()) // plain data: there is nothing to fail
	}
	return append(out, '\n')
}

// reflected is the schema of a struct with everything in it written out, but for
// routes, which have routes.
func reflected(t reflect.Type, texts map[string]string) *jsonschema.Schema {
	r := jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		DoNotReference:             true,
		ExpandedStruct:             true,
		Anonymous:                  true,
		CommentMap:                 texts,
		Mapper:                     mapType,
	}
	return r.ReflectFromType(t)
}

// mapType has the schema of types that are written as text, and of routes.
func mapType(t reflect.Type) *jsonschema.Schema {
	switch {
	case t == reflect.TypeFor[[]Route]():
		return &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Ref: "#/$defs/route"}}
	case t == reflect.TypeFor[time.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: durationPattern, Examples: []any{"30s", "500ms"}}
	case t == reflect.TypeFor[Size]():
		return &jsonschema.Schema{Type: "string", Pattern: sizePattern, Examples: []any{"64KiB", "100MiB"}}
	case t == reflect.TypeFor[notation.Rate]():
		return &jsonschema.Schema{Type: "string", Pattern: ratePattern, Examples: []any{"10/s", "5/m"}}
	case t == reflect.TypeFor[notation.Switch]():
		return &jsonschema.Schema{Type: "string", Enum: []any{"on", "off"}}
	case isScalar(t) && t.Kind() != reflect.String && reflect.PointerTo(t).Implements(reflect.TypeFor[textUnmarshaler]()):
		return &jsonschema.Schema{Type: "string"}
	}
	return nil
}

type textUnmarshaler interface{ UnmarshalText([]byte) error }

// refine adds what the rules know to what the types said.
func refine(s *jsonschema.Schema, p path, all map[string]rule) {
	if s.Properties != nil {
		for pair := s.Properties.Oldest(); pair != nil; {
			next, at := pair.Next(), p.key(pair.Key)
			refine(pair.Value, at, all)
			pair = next
		}
	}
	if s.Items != nil {
		refine(s.Items, p.item(0), all)
	}
	if s.Type == "object" && s.Properties == nil && s.AdditionalProperties != nil {
		refine(s.AdditionalProperties, p.name("*"), all)
	}
	if others := others(s, p, all); len(others) > 0 {
		self := *s
		self.Description = ""
		*s = jsonschema.Schema{Description: s.Description, AnyOf: append(others, &self)}
		return
	}
	scalarSchema(s, all[p.pattern])
}

// others are what may be written in place of a map or a list.
func others(s *jsonschema.Schema, p path, all map[string]rule) (out []*jsonschema.Schema) {
	if short, ok := shorthands()[p.pattern]; ok {
		out = append(out, short)
	} else if key, ok := shortKeys()[p.pattern]; ok && s.Properties != nil {
		short, _ := s.Properties.Get(key)
		bare := *short
		bare.Description = ""
		out = append(out, &bare)
	}
	if s.Type == "array" && all[p.pattern].one {
		out = append(out, s.Items)
	}
	if all[p.pattern].off && (s.Type == "array" || s.Type == "object") {
		out = append(out, &jsonschema.Schema{Type: "string", Enum: []any{"off"}})
	}
	return out
}

// shortKeys are the keys whose value stands for the whole map, by the pattern of
// the map.
func shortKeys() map[string]string {
	out := map[string]string{}
	keysOf(reflect.TypeFor[Config](), path{}, func(p path, t reflect.Type) {
		for !isScalar(t) && t.Kind() != reflect.Struct {
			switch t.Kind() {
			case reflect.Slice:
				p = p.item(0)
			case reflect.Map:
				p = p.name("*")
			}
			t = t.Elem()
		}
		if isScalar(t) {
			return
		}
		for _, f := range fieldsOf(t) {
			if f.short {
				out[p.pattern] = f.name
			}
		}
	})
	return out
}

// shorthands are the maps that may be written as text.
func shorthands() map[string]*jsonschema.Schema {
	// dns-01 has to say more
	challenge := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Enum: []any{"http-01", "tls-alpn-01", "dns-persist-01"}},
		{Type: "string", Pattern: variablePattern},
	}}
	balance := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "string", Enum: words(rules()["pools.*.balance"].enum)},
		{Type: "string", Pattern: variablePattern},
	}}
	return map[string]*jsonschema.Schema{
		"pools.*.balance":            balance,
		"pools.*.members[]":          {Type: "string", MinLength: new(uint64(1))},
		"tls.acme.challenges[]":      challenge,
		"tls.issuers[].challenges[]": challenge,
	}
}

// scalarSchema rewrites s so that it takes text with variables wherever Parse does.
func scalarSchema(s *jsonschema.Schema, r rule) {
	also := func(other ...*jsonschema.Schema) {
		self := *s
		self.Description = ""
		*s = jsonschema.Schema{Description: s.Description, AnyOf: append([]*jsonschema.Schema{&self}, other...)}
	}
	variable := &jsonschema.Schema{Type: "string", Pattern: variablePattern}
	switch {
	case len(r.enum) > 0:
		s.Enum = words(r.enum)
		if strings.Contains(r.enum[0], ".") {
			s.Type, s.Enum = "", append(s.Enum, floats(r.enum)...)
		}
		also(variable)
	case len(s.Enum) > 0: // a switch
		also(&jsonschema.Schema{Type: "boolean"}, variable)
	case s.Pattern == ratePattern:
		s.Pattern = whole(ratePattern, r)
		also(variable)
	case s.Pattern == durationPattern:
		s.Pattern = whole(durationPattern, r)
		also(variable)
	case s.Pattern == sizePattern:
		s.Pattern = whole(sizePattern, r)
		also(&jsonschema.Schema{Type: "integer", Minimum: "1"}, variable)
	case s.Type == "integer" || s.Type == "number" || s.Type == "boolean":
		if r.min != 0 || r.max != 0 {
			s.Minimum, s.Maximum = number(r.min), number(r.max)
		}
		if r.off && s.Type == "integer" {
			also(&jsonschema.Schema{Type: "string", Enum: []any{"off"}}, variable)
			return
		}
		also(variable)
	case s.Type == "string":
		s.Type = ""
		also2 := []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}
		if !r.empty {
			also2[0].MinLength = new(uint64(1))
		}
		s.AnyOf = also2
	}
}

func whole(pattern string, r rule) string {
	if r.off {
		pattern += "|off"
	}
	return "^(" + pattern + ")$"
}

func words(in []string) (out []any) {
	for _, w := range in {
		out = append(out, w)
	}
	return out
}

// floats are words such as 1.2, which YAML without quotes reads as numbers.
func floats(in []string) (out []any) {
	for _, w := range in {
		out = append(out, json.Number(w))
	}
	return out
}

func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }
