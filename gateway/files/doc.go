// Package files answers requests with the files of a directory.
//
//	s, err := files.New(files.Options{Root: "/srv/shop/static"}, log)
//	defer s.Close()
//	switch res := s.Serve(answer, request, "css/site.css"); res.Outcome {
//	case files.Answered: // done
//	case files.NotFound: // somebody else may answer
//	}
//
// Nothing outside of the directory is served: names are opened through os.Root, which
// follows no link that leads out, and only regular files are read. What is served is
// told by RFC 9110: validators and preconditions (13), ranges (14), and the codings of
// files that lie compressed beside the file (12.5.3).
//
// What is found is kept in memory within a bound, and looked at again at most once a
// second: for that long a file that was changed may be answered as it was. A file that
// is replaced by a rename is always answered whole, as it was or as it is.
package files
