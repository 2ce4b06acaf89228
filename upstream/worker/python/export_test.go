package python

import "maps"

var (
	Dotenv    = dotenv
	Pyproject = pyproject
	Inherited = func(ours []string, strangers bool, more map[string]string) []string {
		return inherited(ours, strangers, more).list()
	}
)

// ParseIni returns the settings of a section.
func ParseIni(text []byte, section string) map[string]string {
	found := make(map[string]string)
	for _, s := range parseIni(text) {
		if s.section == section {
			found[s.name] = s.value
		}
	}
	return found
}

// IniSlots is iniSlots of what is written.
func IniSlots(text []byte) int { return iniSlots(maps.Clone(written(parseIni(text)))) }
