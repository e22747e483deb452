// Package docs checks every Markdown page of the repository. Links lead to files and
// headings that exist. So do the files, make targets and tests that commands name.
// The console blocks of a page print what the page shows (TestSamples), and each line
// of other sample output is one that a program can print (TestSampleLines).
//
// It runs no other commands, and follows no link to another site. Samples that need a
// cluster or containers are checked only line by line.
package docs
