// Package docs checks every Markdown page of the repository. Links lead to files and
// headings that exist. So do the files, make targets and tests that commands name. Each
// line of sample output is one that a program can print.
//
// It follows no link to another site, and runs no command. TestSamples in test/e2e runs
// the commands in console blocks.
package docs
