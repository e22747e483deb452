// Package tabular writes JSON objects as the rows of a table: a CSV or a Parquet file.
//
// # Two passes
//
// The columns are the keys of all objects, in the order in which they first appear, and the type of a column depends on
// all its values. So the caller passes the objects twice: first to Columns.Add, then to a Writer. The second pass must
// have the same objects as the first one, in the same order.
//
// # What a row loses
//
// A key that an object lacks is like null. The order of an object's keys becomes that of the columns. A Parquet file
// loses nothing else: internal/source reads the same values from it. CSV has no types, so null and the empty string are
// the same field there, and so are 1 and "1"; half of a surrogate pair becomes U+FFFD.
//
// # Types of columns in a Parquet file
//
//	BOOLEAN  all values are true or false
//	INT64    all are numbers without fraction and exponent, from -2^63 to 2^63-1, and not -0
//	DOUBLE   all are numbers, and each is the shortest number that identifies its float64
//	STRING   all are strings, or all are null
//	JSON     anything else: the text of each value, as in the object. It is for arrays and objects, numbers that no
//	         other type holds, strings with half of a surrogate pair, and values of several kinds in one column
//
// All columns are optional, and nulls do not influence the type.
//
// # Limits
//
// A table has up to MaxColumns columns. A Parquet writer holds one row group, of up to 32 MiB and 131,072 rows, and a
// buffer for each column: about 60 MiB for 1,000 columns.
package tabular
