import { onEveryScheduler } from "../e2e/schedulers/faults/case.ts";
import { badAnswers } from "../e2e/schedulers/faults/answers.ts";

onEveryScheduler("what no answer of a scheduler may do to a job", "one after the other", badAnswers);
