// Package docs reads every Markdown page of the repository as its reader
// would: what it links to is there, heading included, and the files, make
// targets and tests that its commands name exist.
//
// It runs none of the commands, and follows no link to another site.
package docs
