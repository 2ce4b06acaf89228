// Package watch tells of files that change in directories and all below them.
//
//	err := watch.Run(ctx, watch.Setup{
//		Dirs: []string{"/srv/shop"}, Skip: watch.SkipUsual, Match: watch.PythonFiles,
//		Found: func(files []string) { reload() },
//	})
//
// What the kernel says (inotify, kqueue) is a hint of where to look; a file has
// changed when its size, time of modification or inode is another one, or it has come
// or gone. So a chmod does not count and a touch does, an editor's new file in place
// of the old one is one change, and events that were lost cost nothing but a look at
// everything. Symbolic links to files are followed, those to directories only when
// they are on the way to one of Dirs.
package watch
