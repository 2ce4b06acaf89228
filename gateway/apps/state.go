package apps

import (
	"time"

	"headgate/gateway/config"
)

// State is what is known of one file. Its Fragment and Warnings are shared and must
// not be changed.
type State struct {
	File string
	Name string // of the app: that of the file without its ending

	Fragment *config.Fragment // of the last content that was right; nil: there was none
	Warnings config.Errors    // about it

	// What is wrong with the newest content, or with whose the file is, mostly as
	// config.Errors; nil: Fragment is what the file says.
	Err error

	Changed time.Time // when the newest content was seen

	// Touched counts how often the workers are to be replaced though their options
	// may be the same: when the file was touched without a change, and when an ini
	// file, of which uWSGI reads more than we do, has changed.
	Touched uint64
}
