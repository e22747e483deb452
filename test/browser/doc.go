// Package browser looks at the live page as people do: in Chromium, at real
// processes.
//
//	go test -tags browser ./test/browser                                          all of it
//	go test -tags browser ./test/browser -run TestShots -screenshots DIR          pictures
//	go test -tags browser ./test/browser -run TestThousand -viewer 20s -v         what a viewer costs the fetcher
//
// It needs chromium (or another Chrome, in CHROMIUM) and axe-core's
// axe.min.js (in AXE, or in node_modules), and fails without.
//
// # What it promises
//
// The page loads from the fetcher alone, without a message in the console. It
// moves while a job runs, shows a mapper that was killed as soon as the fetcher knows,
// says when the fetcher is away and goes on by itself when it is back. Dead
// letters, stragglers and their backups are on it. Orders need the token.
// Everything can be done with the keyboard, and axe finds nothing wrong: light
// and dark, on a phone and on a wall, whether the job runs, is done or is away.
// A thousand mappers and ten thousand chunks are shown.
//
// # What it does not promise
//
// That it is beautiful: -screenshots takes pictures for people to look at. Nor
// that other browsers agree.
package browser
