import { onEveryScheduler } from "../e2e/schedulers/faults/case.ts";
import { badAnswers, longSilence } from "../e2e/schedulers/faults/answers.ts";

onEveryScheduler("what no answer of a scheduler may do to a job", "one after the other", badAnswers);
onEveryScheduler("what the silence of a scheduler may do to a job", "one after the other", longSilence);
