// Package mapper is the role that works: it asks the fetcher for a chunk, maps
// its objects and hands the result to the saver, and it says every second that
// it lives and what it holds.
//
//	worker ──next──▶ fetcher        one request, one chunk
//	   │  map
//	   ▼
//	results ──save──▶ saver         until committed; the worker asks on meanwhile
//
// Every next and every beat carries the whole list of what the mapper holds,
// so nothing has to be told twice, in order or reliably. A mapper that is told
// to stop asks no more, finishes what it holds within StopTimeout, gives back
// the rest and says goodbye; one that dies without a word is missed within
// three seconds.
//
// Where it finds no fetcher it pauses, for up to 3 s. A fetcher says hello when it
// serves, and then all workers ask at once.
//
// # What it does not promise
//
// A chunk may be mapped more than once, here or elsewhere. The saver keeps the
// first result and drops the others.
package mapper
