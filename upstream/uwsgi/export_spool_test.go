package uwsgi

// NamedFile is what spooling falls back to on file systems without O_TMPFILE,
// which a test cannot count on finding.
var NamedFile = namedFile
