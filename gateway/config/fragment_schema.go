package config

import (
	"encoding/json"
	"reflect"

	"github.com/invopop/jsonschema"
)

// AppSchema returns the JSON Schema (2020-12) of the YAML file of an app, what
// ParseApp accepts, for editors; see Schema.
func AppSchema() []byte {
	texts, all := descriptionsByKey(), rules()
	s := reflected(reflect.TypeFor[App](), texts)
	s.Title = "file of an app"
	pool, site := (&Fragment{Name: "*"}).paths()
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		at := site.key(pair.Key)
		switch pair.Key {
		case "workers":
			at = pool.key("workers")
		case "pool":
			at = pool
		}
		refine(pair.Value, at, all)
	}
	s.Definitions = jsonschema.Definitions{"route": routeSchema(texts, all)}
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: " + err.Error()) // plain data: there is nothing to fail
	}
	return append(out, '\n')
}

// descriptionsByKey are the comments of every key.
func descriptionsByKey() map[string]string {
	texts := map[string]string{}
	if err := json.Unmarshal(descriptions, &texts); err != nil {
		panic("config: descriptions.json: " + err.Error())
	}
	return texts
}

// routeSchema is the schema of a route, which has routes.
func routeSchema(texts map[string]string, all map[string]rule) *jsonschema.Schema {
	s := reflected(reflect.TypeFor[Route](), texts)
	s.Version = ""
	refine(s, path{}.keys("sites").item(0).key("routes").item(0), all)
	return s
}
