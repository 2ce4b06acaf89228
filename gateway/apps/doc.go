// Package apps watches a folder of files with an app each, as uWSGI's Emperor does:
// YAML files of our own, and uWSGI's ini files as they are. Each one is a fragment of
// the configuration.
//
//	folder, err := apps.Open("/etc/headgate/apps", os.LookupEnv, log)
//	err = folder.Run(ctx, func(states []apps.State) {
//		... // the fragments of states go to config.Config.Merge
//	})
//
// A file that becomes wrong keeps what it said before, and never disturbs the others.
// As root, an app runs as the owner of its file and never as root (tyrant): see
// State.Err for what that forbids. Unix only.
package apps
