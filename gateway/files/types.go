package files

import "strings"

// typeOf returns the Content-Type of a name: that of the longest of its ends that own
// or the table knows. Contents are never looked at.
func typeOf(own map[string]string, name string) string {
	base := strings.ToLower(name[strings.LastIndexByte(name, '/')+1:])
	for end := base; ; end = end[1:] {
		dot := strings.IndexByte(end, '.')
		if dot < 0 {
			return "application/octet-stream"
		}
		end = end[dot:]
		if t, ok := own[end]; ok {
			return t
		}
		if t := knownType(end); t != "" {
			return t
		}
	}
}

// lowered returns types with lower-case ends, as typeOf looks for them.
func lowered(types map[string]string) map[string]string {
	own := make(map[string]string, len(types))
	for end, t := range types {
		own[strings.ToLower(end)] = t
	}
	return own
}

// knownType has the types of nginx's mime.types, as IANA registers them today, and
// those of later formats. A text that has no other way to say it is UTF-8.
func knownType(end string) string {
	switch end {
	// Text.
	case ".html", ".htm", ".shtml":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js", ".mjs", ".cjs":
		return "text/javascript; charset=utf-8"
	case ".txt", ".text", ".log", ".conf", ".ini", ".asc":
		return "text/plain; charset=utf-8"
	case ".md", ".markdown":
		return "text/markdown; charset=utf-8"
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".tsv":
		return "text/tab-separated-values; charset=utf-8"
	case ".ics":
		return "text/calendar; charset=utf-8"
	case ".vcf":
		return "text/vcard; charset=utf-8"
	case ".vtt":
		return "text/vtt; charset=utf-8"
	case ".mml":
		return "text/mathml; charset=utf-8"
	case ".jad":
		return "text/vnd.sun.j2me.app-descriptor; charset=utf-8"
	case ".wml":
		return "text/vnd.wap.wml; charset=utf-8"
	case ".htc":
		return "text/x-component; charset=utf-8"
	case ".xml", ".xsl", ".xslt":
		return "text/xml; charset=utf-8"
	case ".yaml", ".yml":
		return "application/yaml"
	case ".toml":
		return "application/toml"

	// Data of applications.
	case ".json", ".map":
		return "application/json"
	case ".jsonld":
		return "application/ld+json"
	case ".geojson":
		return "application/geo+json"
	case ".ndjson":
		return "application/x-ndjson"
	case ".webmanifest":
		return "application/manifest+json"
	case ".wasm":
		return "application/wasm"
	case ".atom":
		return "application/atom+xml"
	case ".rss":
		return "application/rss+xml"
	case ".xhtml":
		return "application/xhtml+xml"
	case ".xspf":
		return "application/xspf+xml"
	case ".gpx":
		return "application/gpx+xml"
	case ".kml":
		return "application/vnd.google-earth.kml+xml"
	case ".kmz":
		return "application/vnd.google-earth.kmz"
	case ".sqlite", ".sqlite3":
		return "application/vnd.sqlite3"
	case ".parquet":
		return "application/vnd.apache.parquet"
	case ".m3u8":
		return "application/vnd.apple.mpegurl"
	case ".mpd":
		return "application/dash+xml"
	case ".pmtiles":
		return "application/vnd.pmtiles"

	// Images.
	case ".gif":
		return "image/gif"
	case ".jpeg", ".jpg":
		return "image/jpeg"
	case ".png":
		return "image/png"
	case ".apng":
		return "image/apng"
	case ".avif":
		return "image/avif"
	case ".webp":
		return "image/webp"
	case ".jxl":
		return "image/jxl"
	case ".heic":
		return "image/heic"
	case ".svg", ".svgz":
		return "image/svg+xml"
	case ".tif", ".tiff":
		return "image/tiff"
	case ".ico":
		return "image/x-icon"
	case ".bmp":
		return "image/bmp"
	case ".wbmp":
		return "image/vnd.wap.wbmp"
	case ".jng":
		return "image/x-jng"

	// Fonts.
	case ".woff":
		return "font/woff"
	case ".woff2":
		return "font/woff2"
	case ".ttf":
		return "font/ttf"
	case ".otf":
		return "font/otf"
	case ".ttc":
		return "font/collection"
	case ".eot":
		return "application/vnd.ms-fontobject"

	// Sound and film.
	case ".mp3":
		return "audio/mpeg"
	case ".m4a":
		return "audio/mp4"
	case ".aac":
		return "audio/aac"
	case ".ogg", ".oga", ".opus":
		return "audio/ogg"
	case ".wav":
		return "audio/wav"
	case ".flac":
		return "audio/flac"
	case ".weba":
		return "audio/webm"
	case ".mid", ".midi", ".kar":
		return "audio/midi"
	case ".ra":
		return "audio/x-realaudio"
	case ".mp4", ".m4v":
		return "video/mp4"
	case ".m4s":
		return "video/iso.segment"
	case ".webm":
		return "video/webm"
	case ".ogv":
		return "video/ogg"
	case ".mpeg", ".mpg":
		return "video/mpeg"
	case ".mov":
		return "video/quicktime"
	case ".mkv":
		return "video/matroska"
	case ".ts":
		return "video/mp2t"
	case ".3gpp", ".3gp":
		return "video/3gpp"
	case ".avi":
		return "video/x-msvideo"
	case ".flv":
		return "video/x-flv"
	case ".wmv":
		return "video/x-ms-wmv"
	case ".asx", ".asf":
		return "video/x-ms-asf"
	case ".mng":
		return "video/x-mng"
	}
	return documentType(end)
}

// documentType has the rest: documents, archives and programs.
func documentType(end string) string {
	switch end {
	case ".pdf":
		return "application/pdf"
	case ".ps", ".eps", ".ai":
		return "application/postscript"
	case ".rtf":
		return "application/rtf"
	case ".epub":
		return "application/epub+zip"
	case ".doc":
		return "application/msword"
	case ".xls":
		return "application/vnd.ms-excel"
	case ".ppt":
		return "application/vnd.ms-powerpoint"
	case ".docx":
		return "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	case ".xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case ".pptx":
		return "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	case ".odt":
		return "application/vnd.oasis.opendocument.text"
	case ".ods":
		return "application/vnd.oasis.opendocument.spreadsheet"
	case ".odp":
		return "application/vnd.oasis.opendocument.presentation"
	case ".odg":
		return "application/vnd.oasis.opendocument.graphics"

	case ".gz", ".tgz":
		return "application/gzip"
	case ".zst":
		return "application/zstd"
	case ".zip", ".whl":
		return "application/zip"
	case ".tar":
		return "application/x-tar"
	case ".bz2":
		return "application/x-bzip2"
	case ".xz":
		return "application/x-xz"
	case ".7z":
		return "application/x-7z-compressed"
	case ".rar":
		return "application/vnd.rar"
	case ".jar", ".war", ".ear":
		return "application/java-archive"
	case ".apk":
		return "application/vnd.android.package-archive"
	case ".rpm":
		return "application/x-redhat-package-manager"
	case ".hqx":
		return "application/mac-binhex40"
	case ".sit":
		return "application/x-stuffit"

	case ".p7s":
		return "application/pkcs7-signature"
	case ".crl":
		return "application/pkix-crl"
	case ".cer":
		return "application/pkix-cert"
	case ".der", ".pem", ".crt":
		return "application/x-x509-ca-cert"
	case ".xpi":
		return "application/x-xpinstall"
	case ".swf":
		return "application/x-shockwave-flash"
	case ".run":
		return "application/x-makeself"
	case ".pl", ".pm":
		return "application/x-perl"
	case ".tcl", ".tk":
		return "application/x-tcl"
	case ".wmlc":
		return "application/vnd.wap.wmlc"
	case ".jnlp":
		return "application/x-java-jnlp-file"
	case ".jardiff":
		return "application/x-java-archive-diff"
	case ".cco":
		return "application/x-cocoa"
	case ".prc", ".pdb":
		return "application/x-pilot"
	case ".sea":
		return "application/x-sea"
	}
	return ""
}
