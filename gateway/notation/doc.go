// Package notation has the values that are written in the configuration in a
// notation of their own: sizes, rates and switches. They are plain data, read and
// written as text.
//
//	size, err := notation.ParseSize("64KiB") // 65536
//	rate, err := notation.ParseRate("10/s")  // ten in a second
package notation
