// A mapper in JavaScript: one JSON object a line in, one a line out.
//
// Nothing but results may go to stdout, one line for each object. An empty
// line is no output; a line that begins with "!" is an error, and makes this
// object alone a dead letter. What goes to stderr shows in the mapper's log.

import { createInterface } from "node:readline";

/** What is done to an object; replace it by something heavy. */
function work(user) {
  if (user.friends.length === 0) return undefined;
  return { id: user.uuid, name: `${user.fn} ${user.ln}`, friends: user.friends.length };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const result = work(JSON.parse(line));
    answer = result === undefined ? "" : JSON.stringify(result);
  } catch (error) {
    answer = "!" + String(error).replaceAll("\n", " ");
  }
  process.stdout.write(answer + "\n");
}
