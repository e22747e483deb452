// Package verify compares a source with a sink. It trusts neither the fetcher's ledger nor the sink's own totals: it
// cuts the source again and compares each piece of each chunk with the results in the sink. Only a finished job can
// pass.
//
// It finds an object that is missing or present twice, a piece made from other objects than the source's, outputs that
// are damaged or do not match their counts, a dead letter that is doubled or holds another object, and an output file
// that is not the outputs in input order. It does not run the transform, so it cannot tell whether the outputs are
// right.
package verify
