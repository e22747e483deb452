// Package saver is the role that commits results. When a saver answers committed, the result survives a power cut, and
// no second copy of it will ever be visible. The saver tells the mapper that sent the result, and the fetcher.
//
//	mapper ──save──▶ queue ──▶ commit loop ──▶ sink (many results per sync)
//	   ▲                           │
//	   └──────committed────────────┼──▶ confirm loop ──saved──▶ fetcher
//
// Handlers only decode, check and queue results (check.go). One goroutine commits them in groups (commit.go). The next
// group gathers while that goroutine waits for the disk. So groups grow with the load, and no result waits for a timer.
//
// The results that a saver holds take at most MEMORY_BYTES. Further ones are answered busy.
//
// Another goroutine answers the fetcher's questions (questions.go), and merges the result when the job is done
// (finish.go). The interface Sink defines what the saver needs from a sink (sink.go).
//
// # What it does not promise
//
// A confirmation may be lost on its way to the fetcher. The fetcher asks before it hands a chunk out again, so a lost
// confirmation costs a question but no work.
package saver
