// Package direct runs simple jq programs on JSON text without gojq. It reads only the values that a program names, and
// copies them to the output.
//
// # What it promises
//
// If [Program.Map] reports true, the output is what gojq prints, byte for byte: objects in the order of their keys, the
// digits of a number as they are in the input, and the escapes of gojq. FuzzDirect compares both.
//
// If it reports false, the object may be valid or not, and the caller must use gojq. So this package has no error
// texts. It gives up
//
//   - on invalid JSON, invalid UTF-8, and a text above maxText bytes or nested deeper than maxNest;
//   - where the program would fail on the object, for example at .a.b if .a is a number;
//   - at numbers that gojq keeps as a big integer, if the program calculates with them or compares them;
//   - at every part of a program that Compile does not know.
//
// # Time and memory
//
// A program has no loops but .[], and Compile bounds its size. So the time for an object is proportional to its length.
// So is the memory, which a Program keeps for the next object.
//
// # How it works
//
// Compile turns the tree of gojq's parser into statements ([stmt]), which print outputs, and expressions ([expr]),
// which have exactly one value. It also collects the paths of the program in a tree of nodes. Map reads an object once:
// it fills the nodes in and skips everything else. Then it runs the statements.
package direct
