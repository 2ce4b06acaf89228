package certs

import (
	"fmt"
	"os"
	"os/exec"
)

// checkFiles looks at the files that the settings of ACME authorities name, as
// the authorities will when they are made. Errors begin with their keys.
func (o Options) checkFiles() (errs []error) {
	errs = append(errs, o.ACME.checkFiles("acme")...)
	for i, n := range o.Issuers {
		errs = append(errs, n.checkFiles(fmt.Sprintf("issuers[%d]", i))...)
	}
	return errs
}

func (o ACMEOptions) checkFiles(at string) (errs []error) {
	if o.Roots != "" {
		data, err := readFile(o.Roots)
		if err == nil {
			if _, err = parseChain(data); err != nil {
				err = fmt.Errorf("%s: %w", o.Roots, err)
			}
		} else {
			err = fileError(err)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.roots: %w", at, err))
		}
	}
	for i, c := range o.Challenges {
		if len(c.Command) > 0 {
			if _, err := exec.LookPath(c.Command[0]); err != nil {
				errs = append(errs, fmt.Errorf("%s.challenges[%d].command: %w: check the path, and that it may be executed", at, i, err))
			}
		}
		if c.ACMEDNS.Accounts == "" {
			continue
		}
		if _, err := os.Stat(c.ACMEDNS.Accounts); err != nil {
			errs = append(errs, fmt.Errorf("%s.challenges[%d].acme_dns.accounts: %w", at, i, fileError(err)))
		}
	}
	return errs
}
