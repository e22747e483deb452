// Package browser tests the live page of real processes in Chromium.
//
//	go test -tags browser ./test/browser                                          all of it
//	go test -tags browser ./test/browser -run TestShots -screenshots DIR          pictures
//	go test -tags browser ./test/browser -run TestThousand -viewer 20s -v         what a viewer costs the fetcher
//
// It needs chromium (or another Chrome, in CHROMIUM) and axe-core's axe.min.js (in AXE,
// or in node_modules), and fails without them.
//
// # What it promises
//
// The page loads everything from the fetcher, without a message in the console. It
// updates while a job runs and shows a killed mapper as soon as the fetcher knows of it.
// It says when the fetcher does not answer, and continues by itself when it does again.
// It shows dead letters, stragglers and their backup attempts. Orders need the token. The
// keyboard can do everything. axe finds no problem: in light and dark, on small and large
// screens, while the job runs, when it is done, and without a fetcher. The page can show
// a thousand mappers and ten thousand chunks.
//
// # What it does not promise
//
// It does not check how the page looks; -screenshots takes pictures for that. It does
// not try other browsers.
package browser
