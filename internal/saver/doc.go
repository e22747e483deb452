// Package saver is the role that commits results. When it says committed, the
// result survives a power cut and no second copy of it will ever be visible;
// it says so to the mapper that sent the result, and to the fetcher.
//
//	mapper ──save──▶ queue ──▶ commit loop ──▶ sink (many results per sync)
//	   ▲                           │
//	   └──────committed────────────┼──▶ confirm loop ──saved──▶ fetcher
//
// Handlers only decode, check and queue. One goroutine commits: while it waits
// for the disk the next group gathers, so the group grows with the load and
// nobody waits for a timer.
//
// Results that are held take MEMORY_BYTES; more are answered busy.
//
// # What it does not promise
//
// A confirmation may be lost on its way to the fetcher. The fetcher asks
// before it hands a chunk out again, so that costs a question and no work.
package saver
