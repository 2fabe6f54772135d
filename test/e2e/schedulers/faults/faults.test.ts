import { describe } from "node:test";
import { badAnswers, longSilence } from "./answers.ts";
import { byTurns } from "./case.ts";
import { badFiles } from "./files.ts";
import { manyJobs } from "./many.ts";
import { misfortunes } from "./misfortunes.ts";

// `npm test -- faults` has each on every scheduler, and more. They mostly wait.
describe("each fault once", { concurrency: true }, () => {
  byTurns("what the silence of a scheduler may do to a job", "one after the other", longSilence);
  byTurns("what no answer of a scheduler may do to a job", "one after the other", badAnswers);
  byTurns("what befalls jobs and their files", "side by side", [...badFiles, ...misfortunes]);
  byTurns("many jobs at once", "one after the other", [manyJobs(100)]);
});
