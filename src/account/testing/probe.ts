import { groupsOf, lookUpAccount } from "../lookup.ts";

// A program of its own, to be run where the machine's files are others: looks up each name that is its argument.
const results: Record<string, unknown> = {};
for (const name of process.argv.slice(2)) {
  try {
    const answer = await lookUpAccount(name, 1);
    results[name] = answer.found ? { account: answer.account, groups: await groupsOf(answer.account, 1) } : answer;
  } catch (error) {
    results[name] = { thrown: error instanceof Error && "code" in error ? error.code : String(error) };
  }
}
console.log(JSON.stringify(results));
